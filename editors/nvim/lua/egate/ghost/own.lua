--- Ghost text of our own, for Neovim 0.11: asks after a quiet moment, one request at a time; drops answers that the
--- typed text has left behind; goes on showing a suggestion, and never blinks, while the user types along it.

local config = require('egate.config')
local ghost = require('egate.ghost')
local menu = require('egate.menu')
local server = require('egate.server')
local text = require('egate.text')

local api = vim.api

---@type egate.Backend
local M = { name = 'ghost text of its own' } ---@diagnostic disable-line: missing-fields

local METHOD = 'textDocument/inlineCompletion'
local MARK = 1
local namespace = api.nvim_create_namespace('egate')
local group = api.nvim_create_augroup('egate.ghost', { clear = true })

---@class egate.own.Item
---@field text string
---@field id string
---@field done integer
---@field command? lsp.Command

--- A place in a buffer, with what stands around it: an answer fits only there.
---@class egate.own.Place
---@field bufnr integer
---@field row integer
---@field column integer
---@field before string
---@field after string

---@class egate.own.Showing: egate.own.Place
---@field items egate.own.Item[]
---@field index integer
---@field hint boolean

---@class egate.own.Request: egate.own.Place
---@field id? integer
---@field client vim.lsp.Client

---@type egate.own.Showing?
local showing
---@type egate.own.Request?
local pending
---@type uv.uv_timer_t?
local timer
--- Where the cursor was when we last looked, so that two events of one key count once.
local seen = ''

---@param bufnr integer
---@return egate.own.Place
local function here(bufnr)
  local row, column = text.cursor()
  local line = api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
  return {
    bufnr = bufnr,
    row = row,
    column = column,
    before = line:sub(1, column),
    after = line:sub(column + 1),
  }
end

--- What was typed since a place was left; nil if the cursor went elsewhere or the text around changed.
---@param place egate.own.Place
---@return string?
local function typed_since(place)
  if not text.typing(place.bufnr) then
    return nil
  end
  local now = here(place.bufnr)
  local line = api.nvim_buf_get_lines(place.bufnr, place.row, place.row + 1, false)[1] or ''
  if line:sub(1, place.column) ~= place.before or now.after ~= place.after then
    return nil
  end
  return text.typed(place.bufnr, place.row, place.column)
end

local function stop_timer()
  if timer then
    timer:stop()
    timer:close()
    timer = nil
  end
end

local function erase()
  if showing and api.nvim_buf_is_valid(showing.bufnr) then
    api.nvim_buf_clear_namespace(showing.bufnr, namespace, 0, -1)
  end
end

local function forget()
  erase()
  showing = nil
end

---@param request? egate.own.Request
local function cancel(request)
  if request and request.id and request.client.requests[request.id] then
    request.client:cancel_request(request.id)
  end
end

--- What is left of the suggestion on show.
---@return string?
local function rest()
  return showing and text.rest(showing.items[showing.index].text, typed_since(showing))
end

--- Draw, move or take away: one mark, so that nothing blinks.
local function draw()
  local left = rest()
  if not showing or not left then
    return forget()
  end
  if menu.hides() then
    return erase()
  end
  local row, column = text.cursor()
  local tabstop, lines = vim.bo[showing.bufnr].tabstop, vim.split(left, '\n', { plain = true })
  local chunks = {}
  for number, line in ipairs(lines) do
    local start = number == 1 and vim.fn.virtcol('.') - 1 or 0
    chunks[number] = { { text.without_tabs(line, start, tabstop), 'EgateGhost' } }
  end
  if showing.hint and #showing.items > 1 then
    table.insert(chunks[#chunks], { (' (%d/%d)'):format(showing.index, #showing.items), 'EgateGhostHint' })
  end
  api.nvim_buf_set_extmark(showing.bufnr, namespace, row, column, {
    id = MARK,
    virt_text = chunks[1],
    virt_text_pos = 'inline',
    virt_lines = #chunks > 1 and vim.list_slice(chunks, 2) or nil,
    hl_mode = 'combine',
  })
end

--- An answer is there.
---@param request egate.own.Request
---@param result? lsp.InlineCompletionList|lsp.InlineCompletionItem[]
local function take(request, result)
  local typed = typed_since(request)
  if not typed then
    return
  end
  local items = {}
  for _, item in ipairs(result and (result.items or result) or {}) do
    local left = type(item.insertText) == 'string' and text.rest(item.insertText, typed)
    if left then
      local id = tostring(((item.command or {}).arguments or {})[1] or '')
      table.insert(items, { text = left, id = id, done = text.units(typed), command = item.command })
    end
  end
  if #items == 0 then
    return forget()
  end
  showing = vim.tbl_extend('error', here(request.bufnr), { items = items, index = 1, hint = false })
  draw()
end

function M.request(bufnr, kind, on_done)
  stop_timer()
  local client = server.client(bufnr)
  if not client or not client.initialized or not text.typing(bufnr) then
    return
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  ---@cast params lsp.InlineCompletionParams
  params.context = { triggerKind = kind }
  local older = pending
  local request = vim.tbl_extend('error', here(bufnr), { client = client })
  pending = request
  cancel(older)
  local _, id = client:request(METHOD, params, function(err, result)
    if pending ~= request then
      return
    end
    pending = nil
    if not err then
      take(request, result)
      if on_done then
        on_done()
      end
    end
  end, bufnr)
  request.id = id
end

--- The cursor moved or text changed: keep what still fits, and ask when it is quiet.
---@param bufnr integer
local function update(bufnr)
  if not text.typing(bufnr) then
    return
  end
  local row, column = text.cursor()
  local now = ('%d:%d:%d:%d'):format(bufnr, api.nvim_buf_get_changedtick(bufnr), row, column)
  if now == seen then
    return
  end
  seen = now
  if showing then
    draw()
  end
  if pending and not typed_since(pending) then
    cancel(pending)
    pending = nil
  end
  stop_timer()
  timer = vim.defer_fn(function()
    timer = nil
    M.request(bufnr, ghost.AUTOMATIC)
  end, config.options.debounce_ms)
end

local function leave()
  stop_timer()
  cancel(pending)
  pending, seen = nil, ''
  forget()
end

function M.attach(client, bufnr)
  if vim.lsp.inline_completion then
    vim.lsp.inline_completion.enable(false, { client_id = client.id }) -- or it would be drawn twice
  end
  api.nvim_clear_autocmds({ group = group, buffer = bufnr })
  api.nvim_create_autocmd({ 'InsertEnter', 'CursorMovedI', 'TextChangedI', 'TextChangedP' }, {
    group = group,
    buffer = bufnr,
    callback = function(event)
      if event.event == 'InsertEnter' then
        -- The mode is the new one only after this event.
        vim.schedule(function()
          update(bufnr)
        end)
      else
        update(bufnr)
      end
    end,
  })
  api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave' }, { group = group, buffer = bufnr, callback = leave })
end

function M.detach(bufnr)
  api.nvim_clear_autocmds({ group = group, buffer = bufnr })
  if showing and showing.bufnr == bufnr then
    leave()
  end
end

function M.shown(bufnr)
  local left = rest()
  if not showing or showing.bufnr ~= bufnr or not left or menu.hides() then
    return nil
  end
  local item = showing.items[showing.index]
  return {
    text = left,
    id = item.id,
    done = item.done + text.units(item.text) - text.units(left),
    command = item.command,
    index = showing.index,
    count = #showing.items,
  }
end

function M.advance(bufnr)
  if showing and showing.bufnr == bufnr then
    draw()
  end
end

function M.clear(_)
  stop_timer()
  cancel(pending)
  pending = nil
  forget()
end

function M.cycle(bufnr, count)
  if not showing or showing.bufnr ~= bufnr or not rest() then
    return
  end
  local typed, current = typed_since(showing), showing.items[showing.index]
  showing.items = vim.tbl_filter(function(item)
    return text.rest(item.text, typed) ~= nil -- typed along one, the others may not fit any more
  end, showing.items)
  for index, item in ipairs(showing.items) do
    showing.index = item == current and index or showing.index
  end
  showing.index = (showing.index - 1 + count) % #showing.items + 1
  showing.hint = true
  draw()
end

function M.redraw(bufnr)
  if showing and showing.bufnr == bufnr then
    draw()
  end
end

return M
