--- Ghost text. Two backends with one interface: Neovim's own vim.lsp.inline_completion, and ours for Neovim 0.11.

local config = require('egate.config')

local M = {}

---@class egate.Shown
---@field text string What is left to accept, from the cursor on.
---@field id string The server's name of the suggestion.
---@field done integer UTF-16 units of the suggestion that are in the buffer, typed or accepted.
---@field command? lsp.Command To run when all is accepted.
---@field index integer Of the suggestions for this place, from 1.
---@field count integer

---@class egate.Backend
---@field name string
---@field attach fun(client: vim.lsp.Client, bufnr: integer) Begin to show suggestions in a buffer.
---@field detach fun(bufnr: integer) End it.
---@field shown fun(bufnr: integer): egate.Shown? What can be accepted at the cursor.
---@field advance fun(bufnr: integer) A part was inserted: show the rest, at once.
---@field clear fun(bufnr: integer) Take it away, and end the requests for it.
---@field cycle fun(bufnr: integer, count: integer) Show another of the suggestions.
---@field request fun(bufnr: integer, kind: integer, on_done?: fun()) Ask the server now.
---@field redraw fun(bufnr: integer) A completion menu opened or closed.

--- Kinds of requests, as LSP numbers them.
M.INVOKED, M.AUTOMATIC = 1, 2

--- The one in use.
---@return egate.Backend
function M.backend()
  local wish = config.options.ghost_text
  local native = require('egate.ghost.native')
  if wish ~= 'own' and native.available() then
    return native
  end
  return require('egate.ghost.own')
end

return M
