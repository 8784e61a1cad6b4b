-- The client's configuration for vim.lsp.enable('egate').
-- Change it with vim.lsp.config('egate', { ... }), for example cmd or init_options.

---@type vim.lsp.Config
return {
  cmd = function(dispatchers, config)
    return vim.lsp.rpc.start(require('egate').command(config), dispatchers)
  end,
  -- Every ordinary file: no filetypes, no root, no workspace.
  root_dir = function(bufnr, on_dir)
    if require('egate').wants(bufnr) then
      on_dir(vim.fn.fnamemodify(vim.api.nvim_buf_get_name(bufnr), ':p:h'))
    end
  end,
  reuse_client = function(client, config)
    return client.name == config.name
  end,
  capabilities = { experimental = { egateStatus = true } },
  handlers = {
    ['egate/statusChanged'] = function(_, status)
      require('egate').on_status(status)
    end,
  },
}
