--- Keys of insert mode that act on what is shown, and keep their meaning when nothing is.

local menu = require('egate.menu')

local M = {}

--- Keys that work a completion menu. While one is open they are the menu's.
local MENU_KEYS = {}
for _, key in ipairs({ '<Tab>', '<S-Tab>', '<CR>', '<Up>', '<Down>', '<C-n>', '<C-p>', '<C-y>', '<C-e>' }) do
  MENU_KEYS[vim.keycode(key)] = true
end

--- What our keys were before, so that a second setup() does not take our own mapping for the user's.
---@type table<string, table>
local former = {}

---@param keys string
---@param remap boolean
local function feed(keys, remap)
  vim.api.nvim_feedkeys(keys, remap and 'im' or 'in', false)
end

--- Do what a key did before.
---@param key string
---@param mapping table as from maparg(); empty if the key was not mapped
local function fall_through(key, mapping)
  local keys
  if vim.tbl_isempty(mapping) then
    return feed(vim.keycode(key), false)
  elseif mapping.callback then
    keys = mapping.callback()
    if mapping.expr ~= 1 then
      return
    end
    keys = type(keys) == 'string' and (mapping.replace_keycodes == 1 and vim.keycode(keys) or keys) or ''
  elseif mapping.expr == 1 then
    keys = tostring(vim.api.nvim_eval(mapping.rhs))
    keys = mapping.replace_keycodes == 1 and vim.keycode(keys) or keys
  else
    keys = vim.keycode(mapping.rhs or '')
  end
  feed(keys, mapping.noremap ~= 1)
end

--- Map keys to actions.
---@param keys table<egate.Action, string>
---@param actions table<egate.Action, fun(): boolean> each says whether it did something
function M.map(keys, actions)
  for action, key in pairs(keys) do
    local raw = vim.keycode(key)
    if not former[raw] then
      local mapping = vim.fn.maparg(key, 'i', false, true)
      former[raw] = mapping.buffer == 1 and {} or mapping
    end
    vim.keymap.set('i', key, function()
      if (menu.visible() and MENU_KEYS[raw]) or not actions[action]() then
        fall_through(key, former[raw])
      end
    end, { desc = 'egate: ' .. action:gsub('_', ' ') })
  end
end

--- `<Plug>(egate-accept)` and so on, for mappings of the user's own. They do nothing when nothing is shown.
---@param actions table<egate.Action, fun(): boolean>
function M.plugs(actions)
  for action, run in pairs(actions) do
    vim.keymap.set('i', ('<Plug>(egate-%s)'):format(action:gsub('_', '-')), function()
      run()
    end, { desc = 'egate: ' .. action:gsub('_', ' ') })
  end
end

return M
