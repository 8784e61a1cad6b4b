--- The state that the server last told, in words.

local server = require('egate.server')

local M = {}

---@class egate.Usage
---@field day string
---@field lines integer
---@field linesTarget integer
---@field share number
---@field requests integer
---@field tokensIn integer
---@field tokensOut integer
---@field estimated boolean
---@field cost? number
---@field currency string
---@field cap? number
---@field warning string

---@class egate.Status
---@field state string
---@field reason string
---@field hint string
---@field model string
---@field target? string
---@field progress? number
---@field enabled boolean
---@field targetPaused boolean
---@field languagesOff string[]
---@field logFile? string
---@field today? egate.Usage

---@type egate.Status?
local last

local WORDS = {
  starting = 'starting',
  fetching = 'fetching',
  loading = 'loading',
  ready = 'ready',
  working = '...',
  ['asking-target'] = 'asking',
  paused = 'local only',
  error = 'error',
  off = 'off',
}

--- nil for JSON's null.
---@generic T
---@param value T
---@return T?
function M.value(value)
  if value == vim.NIL then
    return nil
  end
  return value
end

---@return egate.Status?
function M.get()
  return server.client() and last or nil
end

--- The server told its state. The event `User EgateStatus` tells others.
---@param status egate.Status
function M.set(status)
  last = status
  vim.schedule(function()
    vim.api.nvim_exec_autocmds('User', { pattern = 'EgateStatus', data = status })
    vim.cmd.redrawstatus()
  end)
end

--- Today's use in words; nil if there was none.
---@param status egate.Status
---@return string?
function M.today(status)
  local today = M.value(status.today)
  if not today or today.lines == 0 then
    return nil
  end
  local words = ('%d of %d lines by the target (%.0f %%)'):format(today.linesTarget, today.lines, 100 * today.share)
  if today.requests > 0 then
    local about = today.estimated and 'about ' or ''
    words = words .. (', %s%d tokens in, %d out'):format(about, today.tokensIn, today.tokensOut)
  end
  if M.value(today.cost) then
    words = words .. (', %.4f %s'):format(today.cost, today.currency)
  end
  return today.warning ~= '' and words .. ': ' .. today.warning or words
end

--- For a statusline: state, and the share of today's lines that the target wrote, where there is a target. Empty
--- without a server. Percent signs are doubled, as 'statusline' wants them.
---@return string
function M.statusline()
  local status = M.get()
  if not status then
    return ''
  end
  local word = WORDS[status.state] or status.state
  local progress, today = M.value(status.progress), M.value(status.today)
  if progress and (status.state == 'fetching' or status.state == 'loading') then
    word = ('%s %.0f%%%%'):format(word, 100 * progress)
  elseif M.value(status.target) and today and today.lines > 0 and status.state ~= 'error' then
    word = ('%s %.0f%%%%'):format(word, 100 * today.share)
  end
  return 'egate: ' .. word
end

return M
