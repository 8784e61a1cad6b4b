--- Completion menus, of Neovim itself and of the two common plug-ins.

local config = require('egate.config')

local M = {}

--- Names under which plug-ins say that their menu is open. Asked only where they are loaded.
local PLUGINS = {
  cmp = { 'visible' },
  ['blink.cmp'] = { 'is_menu_visible', 'is_visible' },
}

--- Is a menu open?
---@return boolean
function M.visible()
  if vim.fn.pumvisible() == 1 then
    return true
  end
  for name, questions in pairs(PLUGINS) do
    local plugin = package.loaded[name]
    for _, question in ipairs(type(plugin) == 'table' and questions or {}) do
      local ok, visible = pcall(function()
        return plugin[question]()
      end)
      if ok and visible then
        return true
      end
    end
  end
  return false
end

--- Must ghost text stay out of sight now?
---@return boolean
function M.hides()
  return config.options.menu == 'hide' and M.visible()
end

--- Call when a plug-in's menu opens or closes (Neovim's own has the events CompleteChanged and CompleteDone).
---@param group integer
---@param callback fun()
function M.watch(group, callback)
  vim.api.nvim_create_autocmd('User', {
    group = group,
    pattern = { 'BlinkCmpMenuOpen', 'BlinkCmpMenuClose' },
    callback = callback,
  })
  local cmp = package.loaded.cmp
  if type(cmp) == 'table' and not M.watched then
    M.watched = pcall(function()
      cmp.event:on('menu_opened', callback)
      cmp.event:on('menu_closed', callback)
    end)
  end
end

return M
