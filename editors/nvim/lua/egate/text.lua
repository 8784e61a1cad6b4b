--- A suggestion's text and the buffer's: what of it is typed already, what is left, and how it gets in.

local M = {}

--- Is text being typed here? (Not in replace mode, where a suggestion would hide what it replaces.)
---@param bufnr integer
---@return boolean
function M.typing(bufnr)
  return vim.api.nvim_get_current_buf() == bufnr and vim.api.nvim_get_mode().mode:sub(1, 1) == 'i'
end

--- The cursor of the current window: row and byte column, both from 0.
---@return integer row
---@return integer column
function M.cursor()
  local at = vim.api.nvim_win_get_cursor(0)
  return at[1] - 1, at[2]
end

--- What stands between a place and the cursor; nil if the cursor is before it.
---@param bufnr integer
---@param row integer
---@param column integer
---@return string?
function M.typed(bufnr, row, column)
  local last_row, last_column = M.cursor()
  if last_row < row or (last_row == row and last_column < column) then
    return nil
  end
  local ok, lines = pcall(vim.api.nvim_buf_get_text, bufnr, row, column, last_row, last_column, {})
  return ok and table.concat(lines, '\n') or nil
end

--- What is left of a suggestion when the text before the cursor counts as its beginning; nil if it is no beginning.
---@param text string
---@param typed string?
---@return string? nil, too, if nothing is left
function M.rest(text, typed)
  if typed == nil or #typed >= #text or not vim.startswith(text, typed) then
    return nil
  end
  return text:sub(#typed + 1)
end

--- The beginning of a text: a line (with the line break before it, if it begins with one), or a word with the white
--- space before it. What a word is, 'iskeyword' of the buffer says.
---@param text string
---@param kind 'full'|'line'|'word'
---@return string
function M.part(text, kind)
  local pattern = ({ line = [[^\n*[^\n]*]], word = [[^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)]] })[kind]
  local part = pattern and vim.fn.matchstr(text, pattern) or text
  return part == '' and text or part
end

--- UTF-16 code units of a text.
---@param text string
---@return integer
function M.units(text)
  return vim.str_utfindex(text, 'utf-16')
end

--- Insert at the cursor, as one step of undo, and so that `.` repeats it with what was typed.
---@param text string
function M.insert(text)
  vim.cmd('let &g:undolevels = &g:undolevels') -- what was typed before stays a step of its own (:help undo-break)
  vim.api.nvim_paste(text, false, -1)
end

--- Tabs of ghost text as the buffer would show them, where the text starts at a screen column (from 0).
---@param line string
---@param column integer
---@param tabstop integer
---@return string
function M.without_tabs(line, column, tabstop)
  if not line:find('\t', 1, true) then
    return line
  end
  local shown = ''
  for piece, tab in line:gmatch('([^\t]*)(\t?)') do
    shown = shown .. piece
    if tab ~= '' then
      shown = shown .. (' '):rep(tabstop - (column + vim.fn.strdisplaywidth(shown)) % tabstop)
    end
  end
  return shown
end

return M
