if vim.g.loaded_egate then
  return
end
vim.g.loaded_egate = true

vim.api.nvim_create_user_command('Egate', function(args)
  require('egate').run(args.fargs[1] or 'status')
end, {
  nargs = '?',
  desc = 'egate-lsp: status, why, accept, dismiss, toggle, pause, restart, log, stats',
  complete = function(lead)
    return vim.tbl_filter(function(name)
      return vim.startswith(name, lead)
    end, require('egate').subcommands())
  end,
})
