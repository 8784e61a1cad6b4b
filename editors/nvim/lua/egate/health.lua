local M = {}

--- `:checkhealth egate`
function M.check()
  local health = vim.health
  health.start('egate-lsp')
  local egate = require('egate')
  if egate.supported() then
    health.ok('Neovim has vim.lsp.inline_completion')
  else
    health.error('Neovim 0.12 or newer is needed', 'vim.lsp.inline_completion is not in this version')
  end
  local program = egate.command()[1]
  if vim.fn.executable(program) == 1 then
    local version = vim.system({ program, '--version' }, { text = true }):wait()
    if version.code == 0 then
      health.ok(vim.trim(version.stdout) .. ' at ' .. vim.fn.exepath(program))
    else
      health.info(program .. ' is there, but does not tell its version')
    end
  else
    health.error(program .. ' is not executable', {
      'Install it: pipx install egate-lsp',
      "or name it: require('egate').setup({ cmd = { '/path/to/egate-lsp', 'serve' } })",
    })
  end
  local client = egate.client()
  if not client then
    health.warn('the server is not running', "Open a file after require('egate').setup() or vim.lsp.enable('egate')")
    return
  end
  local answer = client:request_sync('egate/status', vim.empty_dict(), 5000)
  local status = answer and answer.result
  if not status then
    health.error('the server does not answer')
  elseif status.state == 'error' then
    health.error(status.reason, 'egate-lsp doctor')
  else
    health.ok(('the server is %s, model %s'):format(status.state, status.model))
    local target = type(status.target) == 'string' and status.target
    health.info(target and 'target: ' .. target or 'no target: nothing leaves this machine')
  end
end

return M
