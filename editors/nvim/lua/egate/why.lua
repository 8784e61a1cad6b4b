--- "Why this suggestion": who wrote each line, how unsure each token was, what was asked of whom.

local server = require('egate.server')
local value = require('egate.state').value

local M = {}

--- Shades of entropy, EgateEntropy1 (certain) to EgateEntropy5; below the first limit there is no shade.
local LIMITS = { 0.05, 0.15, 0.3, 0.45, 0.6 }
local DARK = { '#2b2f36', '#3f3a1f', '#5a4a14', '#72400f', '#8a2a1a' }
local LIGHT = { '#eef1f5', '#fbf3c9', '#fde5a0', '#fdc98a', '#f8a793' }

--- Define the shades, for dark or light backgrounds; a colour scheme may have its own.
local function define_shades()
  for step, colour in ipairs(vim.o.background == 'light' and LIGHT or DARK) do
    vim.api.nvim_set_hl(0, 'EgateEntropy' .. step, { bg = colour, default = true })
  end
end

---@param entropy number
---@return string?
local function shade(entropy)
  local step = 0
  for number, limit in ipairs(LIMITS) do
    step = entropy >= limit and number or step
  end
  return step > 0 and 'EgateEntropy' .. step or nil
end

---@class egate.why.Row
---@field text string
---@field marks [integer, integer, string][] byte columns, from 0, and highlight group

--- A line of code behind a label, its tokens shaded where the tokens wrote this text.
---@param label string
---@param code string
---@param tokens table[]
---@return egate.why.Row
local function code_row(label, code, tokens)
  local shown = code:gsub('[%c]', ' ')
  local marks, from = {}, 1
  for _, token in ipairs(tokens) do
    local piece = token.text:gsub('[%c]', ' ')
    local first, last = code:gsub('[%c]', ' '):find(piece, from, true)
    if first and last and last >= first then
      local entropy = value(token.normalised_entropy)
      local group = entropy and shade(entropy)
      if group then
        table.insert(marks, { #label + first - 1, #label + last, group })
      end
      from = last + 1
    end
  end
  return { text = label .. shown, marks = marks }
end

---@param text string
---@return egate.why.Row
local function row(text)
  return { text = (text:gsub('[%c]', ' ')), marks = {} }
end

--- How an explanation reads. Times and all numbers of each token are on the page (`:Egate why html`).
---@param why table as `egate/explain` gives it
---@return egate.why.Row[]
function M.rows(why)
  local rows = {}
  for _, line in ipairs(why.lines) do
    local score = value(line.score) and ('%.3f'):format(line.score) or '  -  '
    local label = ('%-6s %s  '):format(line.source, score)
    local draft = value(line.draft)
    local replaced = draft and draft ~= line.text
    table.insert(rows, code_row(label, line.text, replaced and {} or line.tokens))
    if replaced then
      table.insert(rows, code_row('        was:  ', draft, line.tokens))
    end
    for _, reason in ipairs(line.reasons) do
      table.insert(rows, row('              ' .. reason))
    end
  end
  for _, request in ipairs(why.requests) do
    table.insert(rows, row(('asked %s: %s'):format(request.tier, request.outcome)))
  end
  if why.note ~= '' then
    table.insert(rows, row(why.note))
  end
  return rows
end

--- Rows in a window that floats by the cursor and closes when the cursor moves.
---@param rows egate.why.Row[]
---@param title string
function M.float(rows, title)
  local lines = vim.tbl_map(function(each)
    return each.text
  end, rows)
  local options = { border = 'rounded', title = ' ' .. title .. ' ', focus = false, wrap = false }
  options.max_width = math.max(20, vim.o.columns - 4)
  local bufnr = vim.lsp.util.open_floating_preview(lines, '', options)
  local namespace = vim.api.nvim_create_namespace('egate.why')
  for number, each in ipairs(rows) do
    for _, mark in ipairs(each.marks) do
      vim.api.nvim_buf_set_extmark(bufnr, namespace, number - 1, mark[1], { end_col = mark[2], hl_group = mark[3] })
    end
  end
end

---@param params table
---@param on_answer fun(answer: table)
local function explain(params, on_answer)
  params.textDocument = { uri = vim.uri_from_bufnr(0) }
  server.ask('egate/explain', params, function(answer)
    if type(answer) ~= 'table' then
      server.notify('nothing has been proposed in this file yet')
    else
      on_answer(answer)
    end
  end)
end

--- Show why the newest suggestion of this file is what it is.
function M.show()
  explain({ format = 'json' }, function(why)
    define_shades()
    M.float(M.rows(why), 'why this suggestion')
  end)
end

--- The same with everything known, as a page in the browser.
function M.open_page()
  explain({ format = 'html' }, function(answer)
    local path = vim.fn.tempname() .. '.html' -- in a folder that only the user can read, gone when Neovim ends
    vim.fn.writefile(vim.split(answer.html, '\n', { plain = true }), path)
    local _, problem = vim.ui.open(path)
    if problem then
      server.notify(('no program opens the page %s: %s'):format(path, problem), vim.log.levels.WARN)
    end
  end)
end

return M
