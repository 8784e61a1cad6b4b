local M = {}

local health = vim.health

--- Which Neovim, and who draws.
local function check_neovim()
  local egate = require('egate')
  if vim.fn.has(egate.NEEDS) == 0 then
    health.error('this is Neovim ' .. tostring(vim.version()), 'Neovim 0.11 or newer is needed')
    return
  end
  local backend = require('egate.ghost').backend()
  health.ok(('Neovim %s; suggestions are drawn by %s'):format(vim.version(), backend.name))
  local wish = require('egate.config').options.ghost_text
  if vim.lsp.inline_completion and backend.name ~= 'vim.lsp.inline_completion' and wish ~= 'own' then
    health.warn(
      'vim.lsp.inline_completion is another than this plug-in knows, so it draws by itself',
      'A newer egate-lsp may know it; nothing is lost until then'
    )
  end
end

--- The server's program.
---@return boolean there
local function check_program()
  local server = require('egate.server')
  local program = server.command()[1]
  if vim.fn.executable(program) == 0 then
    health.error(program .. ' was not found', server.INSTALL)
    return false
  end
  local ok, version = pcall(function()
    return vim.system({ program, '--version' }, { text = true }):wait(10000)
  end)
  if ok and version.code == 0 and vim.startswith(version.stdout, 'egate-lsp') then
    health.ok(vim.trim(version.stdout) .. ' at ' .. vim.fn.exepath(program))
  else
    health.info(vim.fn.exepath(program) .. ' starts the server, and does not tell its version')
  end
  return true
end

--- The running server, its model and target.
local function check_server()
  local server, state = require('egate.server'), require('egate.state')
  local client = server.client()
  if not client then
    health.warn('the server is not running', {
      "vim.lsp.enable('egate') or require('egate').setup() must have run; then open a file that has a name",
      'If it has ended: `:Egate log`, `:Egate restart`',
    })
    return
  end
  local answer = client:request_sync('egate/status', vim.empty_dict(), 10000)
  local status = answer and answer.result
  if type(status) ~= 'table' then
    health.error('the server does not answer', '`:Egate log`, then `:lsp restart egate` or a new start of Neovim')
    return
  end
  local hint = status.hint ~= '' and status.hint or nil
  if status.state == 'error' then
    health.error(status.reason, hint or 'In a terminal: egate-lsp doctor')
  elseif status.state == 'off' then
    health.warn('completions are off', '`:Egate toggle`')
  else
    health.ok(('the server is %s%s'):format(status.state, status.reason ~= '' and ': ' .. status.reason or ''))
  end
  health.info('draft model: ' .. status.model)
  local target = state.value(status.target)
  if not target then
    health.info('no target: nothing leaves this machine')
  elseif status.targetPaused then
    health.warn(('target: %s, paused'):format(target), '`:Egate pause` asks it again')
  else
    health.info('target: ' .. target)
  end
  if status.languagesOff and #status.languagesOff > 0 then
    health.warn('off for ' .. table.concat(status.languagesOff, ', '), '`:Egate toggle-language` in such a file')
  end
  local today = state.today(status)
  if today then
    health.info('today: ' .. today)
  end
  if state.value(status.logFile) then
    health.info('log: ' .. status.logFile)
  end
end

--- `:checkhealth egate`
function M.check()
  health.start('egate-lsp')
  check_neovim()
  if check_program() then
    check_server()
  end
end

return M
