-- The client's configuration for vim.lsp.enable('egate').
-- Change it with vim.lsp.config('egate', { ... }), for example cmd or init_options.

local capabilities = vim.tbl_deep_extend('force', vim.lsp.protocol.make_client_capabilities(), {
  textDocument = { inlineCompletion = { dynamicRegistration = false } }, -- not in Neovim 0.11
  experimental = { egateStatus = true, egateUpgrade = true },
})

local LEVELS = { vim.log.levels.ERROR, vim.log.levels.WARN, vim.log.levels.INFO }

---@type vim.lsp.Config
return {
  cmd = function(dispatchers)
    return vim.lsp.rpc.start(require('egate.server').command(), dispatchers)
  end,
  -- Every ordinary file: no filetypes, no root, no workspace.
  root_dir = function(bufnr, on_dir)
    local server = require('egate.server')
    require('egate') -- shows the suggestions, whoever enabled the server
    if server.wants(bufnr) and server.found() then
      on_dir(vim.fn.fnamemodify(vim.api.nvim_buf_get_name(bufnr), ':p:h'))
    end
  end,
  reuse_client = function(client, config)
    return client.name == config.name
  end,
  capabilities = capabilities,
  on_exit = function(code, signal)
    require('egate.server').on_exit(code, signal)
  end,
  handlers = {
    ['egate/statusChanged'] = function(_, status)
      require('egate').on_status(status)
    end,
    ['egate/upgraded'] = function(_, params)
      require('egate').on_upgraded(params)
    end,
    -- As a notification, so that the user's way of showing them counts, and no long one waits for a key.
    ['window/showMessage'] = function(_, params)
      vim.schedule(function()
        require('egate.server').notify(params.message, LEVELS[params.type])
      end)
    end,
  },
}
