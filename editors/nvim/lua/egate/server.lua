--- The server's process and our connection to it.

local config = require('egate.config')

local M = {}

M.NAME = 'egate'

--- Where pipx and uv put programs; a Neovim started from a desktop may lack it on its PATH.
local USER_PROGRAMS = '~/.local/bin'

--- Tell the user something. What does not fit on the message line would stop typing until a key is pressed, so of
--- that only the beginning is shown, and all of it is in `:messages`; unless the user has another way of showing it.
---@param message string
---@param level? integer
function M.notify(message, level)
  level = level or vim.log.levels.INFO
  message = vim.startswith(message, 'egate') and message or 'egate: ' .. message
  local room = vim.v.echospace - 1
  local plain = debug.getinfo(vim.notify, 'S').source:find('vim/_', 1, true)
  if not plain or (vim.fn.strdisplaywidth(message) <= room and not message:find('\n')) then
    vim.notify(message, level)
    return
  end
  local how = vim.o.messagesopt
  vim.o.messagesopt = 'wait:0,history:' .. (how:match('history:(%d+)') or '500') -- no "Press ENTER"
  vim.api.nvim_echo({ { message } }, true, {})
  vim.o.messagesopt = how
  vim.cmd.redraw()
  local tail = '... :messages'
  local short = vim.fn.strcharpart(message:gsub('\n', ' '), 0, room - #tail) .. tail
  local look = level == vim.log.levels.ERROR and 'ErrorMsg' or level == vim.log.levels.WARN and 'WarningMsg' or nil
  vim.api.nvim_echo({ { short, look } }, false, {})
end

--- The command that starts the server. A workspace has no say in it.
---@return string[]
function M.command()
  if config.options.cmd then
    return config.options.cmd
  end
  local set = vim.lsp.config[M.NAME]
  if set and type(set.cmd) == 'table' then
    return set.cmd --[[@as string[] ]]
  end
  local program = 'egate-lsp'
  if vim.fn.executable(program) == 0 then
    local installed = vim.fn.expand(USER_PROGRAMS .. '/' .. program)
    program = vim.fn.executable(installed) == 1 and installed or program
  end
  return { program, 'serve' }
end

--- What to do about a server that is not there.
M.INSTALL = {
  'Install it: pipx install egate-lsp   (or: uv tool install egate-lsp)',
  "or name it: require('egate').setup({ cmd = { '/path/to/egate-lsp', 'serve' } })",
}

--- Can the server be started? Says once how to mend it if not.
---@return boolean
function M.found()
  local program = M.command()[1]
  if vim.fn.executable(program) == 1 then
    return true
  end
  if not M.told then
    M.told = true
    vim.schedule(function()
      M.notify(('%s was not found: pipx install egate-lsp; :checkhealth egate'):format(program), vim.log.levels.WARN)
    end)
  end
  return false
end

--- Does a buffer get completions? Ordinary files only: no terminals, prompts, or lists.
---@param bufnr integer
---@return boolean
function M.wants(bufnr)
  if vim.bo[bufnr].buftype ~= '' or vim.api.nvim_buf_get_name(bufnr) == '' then
    return false
  end
  return not vim.tbl_contains(config.options.filetypes_off, vim.bo[bufnr].filetype)
end

--- The running client, if there is one; with a buffer: if it serves that buffer.
---@param bufnr? integer
---@return vim.lsp.Client?
function M.client(bufnr)
  return vim.lsp.get_clients({ name = M.NAME, bufnr = bufnr })[1]
end

--- Ask the server; the answer comes to `on_result`. Says so when there is no server.
---@param method string
---@param params table
---@param on_result fun(result: any)
function M.ask(method, params, on_result)
  local client = M.client()
  if not client then
    if M.found() then
      M.notify('the server is not running; see :checkhealth egate', vim.log.levels.WARN)
    end
    return
  end
  client:request(method, params, function(err, result)
    if err then
      M.notify(err.message or 'the server reports an error', vim.log.levels.ERROR)
    else
      on_result(result)
    end
  end)
end

--- Run one of the server's commands.
---@param command string
---@param arguments? any[]
---@param on_result? fun(result: any)
function M.execute(command, arguments, on_result)
  local params = { command = command, arguments = arguments or {} }
  M.ask('workspace/executeCommand', params, on_result or function() end)
end

--- Tell the server what became of a suggestion. A server that does not know it is no news to the user.
---@param command string
---@param arguments any[]
function M.tell(command, arguments)
  local client = M.client()
  if client then
    client:request('workspace/executeCommand', { command = command, arguments = arguments }, function() end)
  end
end

--- Load the model anew; a server that has ended is started again.
function M.restart()
  if M.client() then
    M.execute('egate.restart')
  elseif M.found() then
    vim.lsp.enable(M.NAME, false)
    vim.lsp.enable(M.NAME, true)
  end
end

--- The server's process ended.
---@param code integer
---@param signal integer
function M.on_exit(code, signal)
  if code ~= 0 or (signal ~= 0 and signal ~= 15) then
    vim.schedule(function()
      M.notify(
        ('the server ended (code %d, signal %d). `:Egate restart` starts it again, `:Egate log` may tell why.'):format(
          code,
          signal
        ),
        vim.log.levels.WARN
      )
    end)
  end
end

return M
