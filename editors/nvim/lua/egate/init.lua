--- egate-lsp for Neovim: a thin client. What is proposed and why is the server's business.
---
--- Quick start:
---   require('egate').setup({ accept_key = '<Tab>' })
---
--- What it doesn't do: it sets no key unless asked, draws no text of its own (Neovim's
--- vim.lsp.inline_completion does), and never touches completion menus.

local M = {}

local NAME = 'egate'

---@class egate.Options
---@field cmd? string[] How to start the server; default: { 'egate-lsp', 'serve' }.
---@field settings? table Settings of the server, see `:help egate-settings`.
---@field accept_key? string A key for insert mode that accepts, and keeps its meaning when there is nothing to accept.
---@field filetypes_off? string[] Filetypes that get no completions.

---@class egate.Status
---@field state string
---@field reason string
---@field model string
---@field target? string
---@field progress? number

---@type egate.Options
local options = {}

---@type egate.Status?
local status = nil

--- Check an option's type; an error names it.
---@param name string
---@param value any
---@param kind string
local function check(name, value, kind)
  if value ~= nil and type(value) ~= kind then
    error(('(egate) `%s` should be a %s, not a %s'):format(name, kind, type(value)), 3)
  end
end

--- Is this Neovim new enough?
---@return boolean
function M.supported()
  return vim.lsp.inline_completion ~= nil
end

--- Configure and enable. All options may be left out.
---@param opts? egate.Options
function M.setup(opts)
  opts = opts or {}
  check('cmd', opts.cmd, 'table')
  check('settings', opts.settings, 'table')
  check('accept_key', opts.accept_key, 'string')
  check('filetypes_off', opts.filetypes_off, 'table')
  options = opts
  if not M.supported() then
    vim.notify('egate: Neovim 0.12 or newer is needed (vim.lsp.inline_completion).', vim.log.levels.WARN)
    return
  end
  if opts.settings then
    vim.lsp.config(NAME, { init_options = opts.settings })
  end
  vim.lsp.inline_completion.enable(true)
  vim.lsp.enable(NAME)
  if opts.accept_key then
    vim.keymap.set('i', opts.accept_key, function()
      return M.accept() and '' or opts.accept_key
    end, { expr = true, replace_keycodes = true, desc = 'egate: accept the completion' })
  end
end

--- The command that starts the server.
---@param config? table
---@return string[]
function M.command(config)
  return options.cmd or (config and config.egate_cmd) or { 'egate-lsp', 'serve' }
end

--- Does a buffer get completions? Ordinary files only: no terminals, prompts, or lists.
---@param bufnr integer
---@return boolean
function M.wants(bufnr)
  if vim.bo[bufnr].buftype ~= '' or vim.api.nvim_buf_get_name(bufnr) == '' then
    return false
  end
  return not vim.tbl_contains(options.filetypes_off or {}, vim.bo[bufnr].filetype)
end

--- The running client, if there is one.
---@return vim.lsp.Client?
function M.client()
  return vim.lsp.get_clients({ name = NAME })[1]
end

--- Accept what is shown.
---@return boolean accepted false if nothing is shown, so that a key can fall through.
function M.accept()
  return M.supported() and vim.lsp.inline_completion.get()
end

--- For a statusline: a short text, empty when the server is not running.
---@return string
function M.statusline()
  if not status or not M.client() then
    return ''
  end
  local words = {
    starting = 'starting',
    fetching = 'fetching',
    loading = 'loading',
    ready = 'ready',
    working = '...',
    ['asking-target'] = 'asking',
    paused = 'local only',
    error = 'error',
    off = 'off',
  }
  return 'egate: ' .. (words[status.state] or status.state)
end

--- The server told its state.
---@param new egate.Status
function M.on_status(new)
  status = new
  vim.schedule(function()
    vim.api.nvim_exec_autocmds('User', { pattern = 'EgateStatus', data = new })
    vim.cmd.redrawstatus()
  end)
end

--- Ask the server; the answer comes to `on_result`. Says so when there is no server.
---@param method string
---@param params table
---@param on_result fun(result: any)
local function ask(method, params, on_result)
  local client = M.client()
  if not client then
    vim.notify('egate: the server is not running; see :checkhealth egate', vim.log.levels.WARN)
    return
  end
  client:request(method, params, function(err, result)
    if err then
      vim.notify('egate: ' .. (err.message or 'the server reports an error'), vim.log.levels.ERROR)
    else
      on_result(result)
    end
  end)
end

--- Run one of the server's commands.
---@param command string
---@param on_result? fun(result: any)
local function execute(command, on_result)
  ask('workspace/executeCommand', { command = command, arguments = {} }, on_result or function() end)
end

--- Lines in a window that floats by the cursor and closes when the cursor moves.
---@param lines string[]
---@param title string
local function float(lines, title)
  vim.lsp.util.open_floating_preview(lines, '', { border = 'rounded', title = ' ' .. title .. ' ', focus = false })
end

--- How an explanation reads.
---@param why table
---@return string[]
local function explained(why)
  local lines = {}
  for _, line in ipairs(why.lines) do
    local score = type(line.score) == 'number' and ('%.3f'):format(line.score) or '  -  '
    table.insert(lines, ('%-6s %s  %s'):format(line.source, score, line.text))
    for _, reason in ipairs(line.reasons) do
      table.insert(lines, '         ' .. reason)
    end
    if type(line.draft) == 'string' and line.draft ~= line.text then
      table.insert(lines, '         the draft was: ' .. vim.trim(line.draft))
    end
  end
  for _, request in ipairs(why.requests) do
    table.insert(lines, ('request: %s %s in %.0f ms'):format(request.tier, request.outcome, request.latency_ms))
  end
  local stages = {}
  for stage, ms in pairs(why.timing_ms) do
    table.insert(stages, ('%s %.0f ms'):format(stage:gsub('_', ' '), ms))
  end
  table.sort(stages)
  table.insert(lines, table.concat(stages, ', '))
  if why.note ~= '' then
    table.insert(lines, why.note)
  end
  return lines
end

--- Take the suggestion away and tell the server that it was not wanted: it is not shown again at this place, and the
--- server is more ready to ask the target there.
function M.dismiss()
  if not M.supported() then
    return
  end
  local buffer = { bufnr = vim.api.nvim_get_current_buf() }
  vim.lsp.inline_completion.enable(false, buffer)
  vim.lsp.inline_completion.enable(true, buffer)
  execute('egate.dismissed')
end

local subcommands = {}

function subcommands.accept()
  M.accept()
end

function subcommands.dismiss()
  M.dismiss()
end

function subcommands.why()
  ask('egate/explain', { textDocument = { uri = vim.uri_from_bufnr(0) } }, function(why)
    if type(why) ~= 'table' then
      vim.notify('egate: nothing has been proposed here yet')
      return
    end
    float(explained(why), 'why this suggestion')
  end)
end

function subcommands.status()
  ask('egate/status', vim.empty_dict(), function(now)
    local target = type(now.target) == 'string' and now.target or 'none: nothing leaves this machine'
    vim.notify(('egate: %s %s\nmodel: %s\ntarget: %s'):format(now.state, now.reason, now.model, target))
  end)
end

function subcommands.stats()
  execute('egate.stats', function(stats)
    local lines = {}
    for name, value in pairs(stats) do
      local shown = value == math.floor(value) and ('%d'):format(value) or ('%.3f'):format(value)
      table.insert(lines, ('%-28s %s'):format(name:gsub('_', ' '), shown))
    end
    table.sort(lines)
    float(lines, 'since the start')
  end)
end

function subcommands.toggle()
  execute('egate.toggle', function(on)
    vim.notify('egate: ' .. (on and 'on' or 'off'))
  end)
end

function subcommands.pause()
  local paused = status ~= nil and status.state == 'paused'
  ask('workspace/executeCommand', { command = 'egate.pauseTarget', arguments = { not paused } }, function()
    vim.notify('egate: ' .. (paused and 'the target is asked again' or 'local only'))
  end)
end

function subcommands.restart()
  execute('egate.restart')
end

function subcommands.log()
  local state = vim.env.XDG_STATE_HOME or vim.fs.joinpath(vim.env.HOME or '', '.local', 'state')
  vim.cmd.tabedit(vim.fs.joinpath(state, 'egate-lsp', 'log', 'server.log'))
end

--- The names that `:Egate` takes.
---@return string[]
function M.subcommands()
  local names = vim.tbl_keys(subcommands)
  table.sort(names)
  return names
end

--- Run `:Egate NAME`.
---@param name string
function M.run(name)
  local subcommand = subcommands[name]
  if not subcommand then
    vim.notify(('egate: there is no `:Egate %s`; try: %s'):format(name, table.concat(M.subcommands(), ', ')))
    return
  end
  subcommand()
end

return M
