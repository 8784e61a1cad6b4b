--- egate-lsp for Neovim: a thin client. What is proposed and why is the server's business.
---
--- Quick start:
---   require('egate').setup({ keys = { accept = '<Tab>' } })
---
--- What it doesn't do: it sets no key unless asked, starts nothing that a workspace names, and leaves completion menus
--- and their keys alone.

local config = require('egate.config')
local ghost = require('egate.ghost')
local keys = require('egate.keys')
local menu = require('egate.menu')
local server = require('egate.server')
local state = require('egate.state')
local text = require('egate.text')

local M = {}

--- The oldest Neovim that can run it.
M.NEEDS = 'nvim-0.11'

local group = vim.api.nvim_create_augroup('egate', { clear = true })

---@return integer
local function buffer()
  return vim.api.nvim_get_current_buf()
end

-- ── what acts on the suggestion ──────────────────────────────────────────────────────────────────────────────────────

--- Accept what is shown, or a part of it, at once: not from where text may not be changed, such as a mapping with
--- `expr`.
---@param kind 'full'|'line'|'word'
---@return boolean accepted
function M.take(kind)
  local bufnr, backend = buffer(), ghost.backend()
  local shown, client = backend.shown(bufnr), server.client(bufnr)
  if not shown or not client then
    local native = require('egate.ghost.native')
    return kind == 'full' and backend == native and native.accept_foreign(bufnr)
  end
  if vim.fn.pumvisible() == 1 then
    -- The menu would take the inserted text for its own: close it first.
    local again = ('<C-e><Cmd>lua require("egate").take("%s")<CR>'):format(kind)
    vim.api.nvim_feedkeys(vim.keycode(again), 'in', false)
    return true
  end
  local part = text.part(shown.text, kind)
  if #part == #shown.text then
    backend.clear(bufnr)
    text.insert(part)
    if shown.command then
      client:exec_cmd(shown.command, { bufnr = bufnr })
    end
  else
    text.insert(part)
    backend.advance(bufnr)
    server.tell('egate.partiallyAccepted', { shown.id, shown.done + text.units(part) })
  end
  return true
end

--- The same from where text may not be changed at once, such as a mapping with `expr`.
---@param kind 'full'|'line'|'word'
---@return boolean accepted
local function take_soon(kind)
  if not M.shown() then
    local native = require('egate.ghost.native')
    return kind == 'full' and ghost.backend() == native and native.accept_foreign(buffer())
  end
  vim.schedule(function()
    M.take(kind)
  end)
  return true
end

--- Accept what is shown. Returns false if nothing is, so that a key can fall through.
---@return boolean accepted
function M.accept()
  return take_soon('full')
end

--- Accept its first line.
---@return boolean accepted
function M.accept_line()
  return take_soon('line')
end

--- Accept its first word.
---@return boolean accepted
function M.accept_word()
  return take_soon('word')
end

--- What is shown, from the cursor on; nil if nothing is.
---@return string?
function M.shown()
  local shown = ghost.backend().shown(buffer())
  return shown and shown.text
end

--- Ask by hand, for this place: the server is more eager then, and may have several answers.
---@return boolean asked
function M.trigger()
  local bufnr = buffer()
  if not text.typing(bufnr) or not server.client(bufnr) then
    return false
  end
  ghost.backend().request(bufnr, ghost.INVOKED)
  return true
end

--- Show another suggestion for this place. The first time, the server is asked for them.
---@param count integer
---@return boolean shown
local function cycle(count)
  local bufnr, backend = buffer(), ghost.backend()
  local shown = backend.shown(bufnr)
  if not shown then
    return false
  elseif shown.count > 1 then
    backend.cycle(bufnr, count)
    return true
  end
  backend.request(bufnr, ghost.INVOKED, function()
    local now = backend.shown(bufnr)
    if now and now.count > 1 then
      backend.cycle(bufnr, count)
    else
      server.notify('there is no other suggestion')
    end
  end)
  return true
end

--- Show the next suggestion for this place.
---@return boolean shown
function M.next()
  return cycle(1)
end

--- Show the one before.
---@return boolean shown
function M.previous()
  return cycle(-1)
end

--- Take the suggestion away and tell the server that it was not wanted: it is not shown again at this place, and the
--- server is more ready to ask the target there.
---@return boolean dismissed
function M.dismiss()
  local bufnr, backend = buffer(), ghost.backend()
  local shown = backend.shown(bufnr)
  if not shown then
    return false
  end
  backend.clear(bufnr)
  server.tell('egate.dismissed', { shown.id })
  return true
end

---@type table<egate.Action, fun(): boolean>
local actions = {
  accept = function()
    return M.take('full')
  end,
  accept_line = function()
    return M.take('line')
  end,
  accept_word = function()
    return M.take('word')
  end,
  next = M.next,
  previous = M.previous,
  dismiss = M.dismiss,
  trigger = M.trigger,
}

--- Run an action at once, as the keys do.
---@param action egate.Action
---@return boolean done
function M.act(action)
  return actions[action]()
end

-- ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

--- Configure and enable. All options may be left out.
---@param opts? egate.Options
function M.setup(opts)
  config.set(opts)
  if vim.fn.has(M.NEEDS) == 0 then
    server.notify('Neovim 0.11 or newer is needed.', vim.log.levels.WARN)
    return
  end
  vim.cmd.runtime('plugin/egate.lua') -- a plugin manager may load us after the start
  if config.options.settings then
    vim.lsp.config(server.NAME, { init_options = config.options.settings })
  end
  keys.map(config.options.keys, actions)
  vim.lsp.enable(server.NAME)
end

--- Define what needs no setup: the `<Plug>` mappings and the looks.
function M.define()
  keys.plugs(actions)
  local native = vim.fn.hlexists('ComplHint') == 1
  vim.api.nvim_set_hl(0, 'EgateGhost', { link = native and 'ComplHint' or 'NonText', default = true })
  vim.api.nvim_set_hl(0, 'EgateGhostHint', { link = native and 'ComplHintMore' or 'MoreMsg', default = true })
end

--- The server serves a buffer from now on.
---@param client vim.lsp.Client
---@param bufnr integer
local function attach(client, bufnr)
  local backend = ghost.backend()
  backend.attach(client, bufnr)
  vim.api.nvim_clear_autocmds({ group = group, buffer = bufnr })
  -- Neovim closes its menu after the event.
  local redraw = vim.schedule_wrap(function()
    if vim.api.nvim_buf_is_valid(bufnr) then
      backend.redraw(bufnr)
    end
  end)
  vim.api.nvim_create_autocmd({ 'CompleteChanged', 'CompleteDone' }, {
    group = group,
    buffer = bufnr,
    callback = redraw,
  })
  if vim.fn.mode() == 'i' and buffer() == bufnr then
    vim.schedule(function()
      backend.request(bufnr, ghost.AUTOMATIC) -- no key need be pressed for the first one
    end)
  end
end

vim.api.nvim_create_autocmd('LspAttach', {
  group = group,
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == server.NAME then
      attach(client, event.buf)
    end
  end,
})

vim.api.nvim_create_autocmd('LspDetach', {
  group = group,
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == server.NAME then
      ghost.backend().detach(event.buf)
      vim.api.nvim_clear_autocmds({ group = group, buffer = event.buf })
    end
  end,
})

menu.watch(group, function()
  ghost.backend().redraw(buffer())
end)

--- The target's answer came late. Ask again if the cursor is still at that place or has typed along from it.
---@param params { textDocument: { uri: string }, position: lsp.Position, id: string }
function M.on_upgraded(params)
  vim.schedule(function()
    local bufnr, backend = buffer(), ghost.backend()
    local client = server.client(bufnr)
    if not client or not text.typing(bufnr) or vim.uri_from_bufnr(bufnr) ~= params.textDocument.uri then
      return
    end
    local shown = backend.shown(bufnr)
    local now = vim.lsp.util.make_position_params(0, client.offset_encoding).position
    local same = now.line == params.position.line and now.character == params.position.character
    if (shown and shown.index == 1 and shown.id == tostring(params.id)) or same then
      backend.request(bufnr, ghost.AUTOMATIC)
    end
  end)
end

--- The server told its state.
M.on_status = state.set

--- For a statusline: the state, and the share of today's lines that the target wrote. Empty without a server.
M.statusline = state.statusline

--- The newest state that the server told, as docs/protocol.md has it; nil without a server.
M.status = state.get

--- The command that starts the server.
M.command = server.command

--- The running client, if there is one.
M.client = server.client

return M
