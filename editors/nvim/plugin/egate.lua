if vim.g.loaded_egate then
  return
end
vim.g.loaded_egate = true
if vim.fn.has('nvim-0.11') == 0 then
  return -- setup() says so
end

vim.api.nvim_create_user_command('Egate', function(args)
  require('egate.commands').run(args.fargs[1] or 'status', args.fargs[2])
end, {
  nargs = '*',
  desc = 'egate-lsp: suggestions, and the state of the server; see :help :Egate',
  complete = function(lead, line)
    return require('egate.commands').complete(lead, line)
  end,
})
require('egate').define()
