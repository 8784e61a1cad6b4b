--- Ghost text by Neovim's vim.lsp.inline_completion (0.12).
---
--- Neovim asks, draws and cycles. What it has no public way for is done on the object it keeps for each buffer: show
--- nothing that the typed text contradicts, nothing over a completion menu, ask now, accept a part. If a later Neovim
--- changes that object, `available()` says no, and the plug-in draws by itself.

local menu = require('egate.menu')
local server = require('egate.server')
local text = require('egate.text')

local api = vim.api

---@type egate.Backend
local M = { name = 'vim.lsp.inline_completion' } ---@diagnostic disable-line: missing-fields

local METHOD = 'textDocument/inlineCompletion'
local NEEDED = { 'select', 'show', 'hide', 'abort', 'request', 'handler', 'get_item', 'count_items' }

--- What Neovim keeps of all buffers.
---@return table?
local function prototype()
  local ok, capability = pcall(require, 'vim.lsp._capability')
  local found = ok and type(capability) == 'table' and capability.all and capability.all.inline_completion
  return type(found) == 'table' and found or nil
end

--- Is Neovim's module here, in a form that we know?
---@return boolean
function M.available()
  if not vim.lsp.inline_completion then
    return false
  end
  local found = prototype()
  return found ~= nil
    and type(found.active) == 'table'
    and vim.iter(NEEDED):all(function(name)
      return type(found[name]) == 'function'
    end)
end

---@param bufnr integer
---@return table?
local function completor(bufnr)
  local found = prototype()
  return found and found.active[bufnr]
end

--- An LSP position as row and byte column, from 0.
---@param bufnr integer
---@param position lsp.Position
---@param encoding string
---@return integer row
---@return integer column
local function place(bufnr, position, encoding)
  local line = api.nvim_buf_get_lines(bufnr, position.line, position.line + 1, false)[1] or ''
  return position.line, vim.str_byteindex(line, encoding, position.character, false)
end

--- The item on show if it is of our server, with its place.
---@param self table
---@return lsp.InlineCompletionItem? item
---@return integer? row
---@return integer? column
---@return vim.lsp.Client? client
local function current(self)
  if not self.current then
    return nil
  end
  local client_id, item = self:get_item(self.current._index)
  local client = client_id and vim.lsp.get_client_by_id(client_id)
  if not client or client.name ~= server.NAME or not item or not item.range or type(item.insertText) ~= 'string' then
    return nil
  end
  local row, column = place(self.bufnr, item.range.start, client.offset_encoding)
  return item, row, column, client
end

--- Does another server's item show?
---@param self table
---@return boolean
local function foreign(self)
  local client = self.current and vim.lsp.get_client_by_id(self.current.client_id)
  return client ~= nil and client.name ~= server.NAME
end

--- Let the items begin at the cursor: those that the text before it began, without that beginning.
---@param self table
---@param row integer
---@param column integer
---@param client vim.lsp.Client
local function rebase(self, row, column, client)
  local typed = text.typed(self.bufnr, row, column)
  local at = vim.lsp.util.make_position_params(0, client.offset_encoding).position
  local state = self.client_state[client.id]
  local kept, index = {}, 1
  for number, item in ipairs(state.items or {}) do
    local rest = type(item.insertText) == 'string' and text.rest(item.insertText, typed)
    if rest then
      item.egate_done = (item.egate_done or 0) + text.units(typed --[[@as string]])
      item.insertText, item.range = rest, { start = at, ['end'] = at }
      table.insert(kept, item)
      index = number == self.current._index and #kept or index
    end
  end
  state.items = kept
  self:select(index)
end

--- Neovim draws an item with a range over the text behind the cursor in some versions; an empty range hides nothing.
---@param self table
---@param row integer
local function make_room(self, row)
  local namespace = api.nvim_create_namespace('nvim.lsp.inline_completion')
  for _, mark in
    ipairs(api.nvim_buf_get_extmarks(self.bufnr, namespace, { row, 0 }, { row, -1 }, { details = true }))
  do
    local details = mark[4] or {}
    if details.virt_text_pos == 'overlay' then
      api.nvim_buf_set_extmark(self.bufnr, namespace, mark[2], mark[3], {
        id = mark[1],
        virt_text = details.virt_text,
        virt_lines = details.virt_lines,
        virt_text_pos = 'inline',
        hl_mode = 'combine',
      })
    end
  end
end

--- Draw what is on show, if it may be seen. Takes the place of the object's own `show`.
---@param self table
---@param hint? string
local function show(self, hint)
  local item, row, column, client = current(self)
  if not item then
    return getmetatable(self).show(self, hint)
  end
  ---@cast row integer
  ---@cast column integer
  ---@cast client vim.lsp.Client
  if not text.typing(self.bufnr) or not text.rest(item.insertText, text.typed(self.bufnr, row, column)) then
    self.current = nil
    self:hide()
  elseif menu.hides() then
    self:hide()
  elseif text.cursor() ~= row then
    rebase(self, row, column, client) -- comes back here
  else
    getmetatable(self).show(self, hint)
    make_room(self, row)
  end
end

--- End what is asked of our server for this buffer. Neovim itself does so only when insert mode ends, and an empty
--- answer to an older request would take away what is shown.
---@param bufnr integer
local function cancel(bufnr)
  local client = server.client(bufnr)
  for id, request in pairs(client and client.requests or {}) do
    if request.type == 'pending' and request.bufnr == bufnr and request.method == METHOD then
      ---@cast client vim.lsp.Client
      client:cancel_request(id)
    end
  end
end

--- Mend the object of a buffer.
---@param bufnr integer
local function mend(bufnr)
  local self = completor(bufnr)
  if not self or rawget(self, 'egate') then
    return
  end
  self.egate = true
  self.show = show
  self.request = function(this, kind)
    cancel(bufnr)
    if text.typing(bufnr) then
      getmetatable(this).request(this, kind)
    end
  end
end

function M.attach(_, bufnr)
  if not vim.lsp.inline_completion.is_enabled({ bufnr = bufnr }) then
    vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
  end
  -- Neovim makes its object when all that wait for LspAttach have run.
  mend(bufnr)
  vim.schedule(function()
    mend(bufnr)
  end)
end

function M.detach() end

function M.shown(bufnr)
  local self = completor(bufnr)
  local item, row, column
  if self then
    item, row, column = current(self)
  end
  if not self or not item or not text.typing(bufnr) or menu.hides() then
    return nil
  end
  local rest = text.rest(item.insertText, text.typed(bufnr, row --[[@as integer]], column --[[@as integer]]))
  if not rest then
    return nil
  end
  return {
    text = rest,
    id = item.command and tostring((item.command.arguments or {})[1]) or '',
    done = (item.egate_done or 0) + text.units(item.insertText) - text.units(rest),
    command = item.command,
    index = self.current._index,
    count = self:count_items(),
  }
end

--- Another server's suggestion is Neovim's business.
---@param bufnr integer
---@return boolean
function M.accept_foreign(bufnr)
  local self = completor(bufnr)
  return self ~= nil and foreign(self) and vim.lsp.inline_completion.get({ bufnr = bufnr })
end

function M.advance(bufnr)
  local self = completor(bufnr)
  local item, row, column, client
  if self then
    item, row, column, client = current(self)
  end
  if self and item then
    rebase(self, row --[[@as integer]], column --[[@as integer]], client --[[@as vim.lsp.Client]])
  end
end

function M.clear(bufnr)
  local self = completor(bufnr)
  cancel(bufnr)
  if self then
    self:reset_timer()
    self:abort()
  end
end

function M.cycle(bufnr, count)
  vim.lsp.inline_completion.select({ bufnr = bufnr, count = count })
end

function M.request(bufnr, kind, on_done)
  local self, client = completor(bufnr), server.client(bufnr)
  if not self or not client or not text.typing(bufnr) then
    return
  end
  cancel(bufnr)
  self:reset_timer()
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  ---@cast params lsp.InlineCompletionParams
  params.context = { triggerKind = kind }
  client:request(METHOD, params, function(err, result, ctx)
    if not err and text.typing(bufnr) and self.client_state[ctx.client_id] then
      self:handler(nil, result, ctx)
      if on_done then
        on_done()
      end
    end
  end, bufnr)
end

function M.redraw(bufnr)
  local self = completor(bufnr)
  if self then
    self:show()
  end
end

return M
