--- The options of setup(): their defaults, and errors that name what is wrong.

local M = {}

---@alias egate.Action 'accept'|'accept_line'|'accept_word'|'next'|'previous'|'dismiss'|'trigger'

---@class egate.Options
---@field cmd? string[] How to start the server; default: { 'egate-lsp', 'serve' }.
---@field settings? table Settings of the server, see `:help egate-settings`.
---@field keys? table<egate.Action, string> Keys of insert mode, none by default; free when nothing is shown.
---@field filetypes_off? string[] Filetypes that get no completions.
---@field menu? 'hide'|'show' While a completion menu is open: hide the ghost text (default), or show both.
---@field ghost_text? 'auto'|'native'|'own' Who draws: Neovim's vim.lsp.inline_completion, or this plug-in.
---@field debounce_ms? integer Quiet time before a request; for ghost text of our own (Neovim's waits 200 ms).

---@type egate.Action[]
M.ACTIONS = { 'accept', 'accept_line', 'accept_word', 'next', 'previous', 'dismiss', 'trigger' }

---@type egate.Options
local DEFAULTS = {
  settings = nil,
  cmd = nil,
  keys = {},
  filetypes_off = {},
  menu = 'hide',
  ghost_text = 'auto',
  debounce_ms = 100,
}

local TYPES = {
  cmd = 'table',
  settings = 'table',
  keys = 'table',
  filetypes_off = 'table',
  menu = 'string',
  ghost_text = 'string',
  debounce_ms = 'number',
}

local CHOICES = {
  menu = { 'hide', 'show' },
  ghost_text = { 'auto', 'native', 'own' },
}

---@type egate.Options
M.options = vim.deepcopy(DEFAULTS)

---@param message string
local function complain(message)
  error('(egate) ' .. message .. '; see :help egate.setup()', 0)
end

---@param names string[]
---@return string
local function listed(names)
  table.sort(names)
  return table.concat(names, ', ')
end

--- Take the user's options over the defaults. Raises an error that names the option, what it is, and what it may be.
---@param opts? egate.Options
---@return egate.Options
function M.set(opts)
  opts = opts or {}
  for name, value in pairs(opts) do
    local kind = TYPES[name]
    if not kind then
      complain(('there is no option `%s`; there are: %s'):format(name, listed(vim.tbl_keys(TYPES))))
    elseif type(value) ~= kind then
      complain(('`%s` should be a %s, not a %s'):format(name, kind, type(value)))
    elseif CHOICES[name] and not vim.tbl_contains(CHOICES[name], value) then
      complain(("`%s` should be one of %s, not '%s'"):format(name, listed(vim.deepcopy(CHOICES[name])), value))
    end
  end
  for action, key in pairs(opts.keys or {}) do
    if not vim.tbl_contains(M.ACTIONS, action) then
      complain(('`keys.%s` is no action; there are: %s'):format(action, listed(vim.deepcopy(M.ACTIONS))))
    elseif type(key) ~= 'string' then
      complain(('`keys.%s` should be a string, not a %s'):format(action, type(key)))
    end
  end
  if opts.cmd and type(opts.cmd[1]) ~= 'string' then
    complain("`cmd` should be a list of strings, such as { '/path/to/egate-lsp', 'serve' }")
  end
  M.options = vim.tbl_extend('force', vim.deepcopy(DEFAULTS), opts)
  return M.options
end

return M
