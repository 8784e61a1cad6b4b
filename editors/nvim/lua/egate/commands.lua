--- `:Egate`: the same commands as in the other editors.

local server = require('egate.server')
local state = require('egate.state')

local M = {}

---@class egate.Command
---@field about string
---@field run fun(argument?: string)
---@field arguments? string[] for completion on the command line

---@param number number
---@return string
local function figure(number)
  return number == math.floor(number) and ('%d'):format(number) or ('%.3f'):format(number)
end

--- "4_kept" and "keptLines" as words.
---@param name string
---@return string
local function words(name)
  return (name:gsub('_', ' '):gsub('(%l)(%u)', '%1 %2'):lower())
end

--- What is on screen is void when completions go off, and wanted when they go on.
---@param on boolean
local function follow(on)
  local ghost = require('egate.ghost')
  local bufnr = vim.api.nvim_get_current_buf()
  if on then
    ghost.backend().request(bufnr, ghost.AUTOMATIC)
  else
    ghost.backend().clear(bufnr)
  end
end

--- What the server calls the language of this buffer.
---@return string
local function language()
  local client = server.client(vim.api.nvim_get_current_buf())
  local filetype = vim.bo.filetype
  return client and client.get_language_id and client.get_language_id(vim.api.nvim_get_current_buf(), filetype)
    or filetype
end

---@param action egate.Action
---@return fun()
local function act(action)
  return function()
    local egate = require('egate')
    if not egate.act(action) then
      server.notify('no suggestion is shown; suggestions are shown in insert mode')
    end
  end
end

local function show_status()
  server.ask('egate/status', vim.empty_dict(), function(now)
    local lines = {
      now.state .. (now.reason ~= '' and ': ' .. now.reason or ''),
      'model: ' .. now.model,
      'target: ' .. (state.value(now.target) or 'none: nothing leaves this machine'),
    }
    if now.hint and now.hint ~= '' then
      table.insert(lines, 2, now.hint)
    end
    if state.value(now.target) and now.targetPaused then
      lines[#lines] = lines[#lines] .. ' (paused: local only)'
    end
    if now.languagesOff and #now.languagesOff > 0 then
      table.insert(lines, 'off for: ' .. table.concat(now.languagesOff, ', '))
    end
    local today = state.today(now)
    if today then
      table.insert(lines, 'today: ' .. today)
    end
    local rows = vim.tbl_map(function(line)
      return { text = (line:gsub('%c', ' ')), marks = {} }
    end, lines)
    require('egate.why').float(rows, 'egate')
  end)
end

local function show_statistics()
  server.ask('egate/statistics', vim.empty_dict(), function(answer)
    local rows = {}
    for _, part in ipairs({ { 'session', 'since the start' }, { 'today', 'today' } }) do
      local table_of, lines = state.value(answer[part[1]]), {}
      for name, value in pairs(table_of or {}) do
        if type(value) == 'number' then
          table.insert(lines, { text = ('  %-28s %s'):format(words(name), figure(value)), marks = {} })
        end
      end
      table.sort(lines, function(a, b)
        return a.text < b.text
      end)
      if #lines > 0 then
        table.insert(rows, { text = part[2], marks = { { 0, #part[2], 'Title' } } })
        vim.list_extend(rows, lines)
      end
    end
    require('egate.why').float(rows, 'egate: statistics')
  end)
end

---@param name? string
local function choose_model(name)
  local function set(wanted)
    server.execute('egate.setModel', { wanted }, function(done)
      server.notify(done and 'the draft model is ' .. wanted .. ' until the server ends' or 'no such model: ' .. wanted)
    end)
  end
  if name then
    return set(name)
  end
  server.ask('egate/models', vim.empty_dict(), function(models)
    vim.ui.select(models, {
      prompt = 'Draft model of this session:',
      format_item = function(model)
        local words_of = { model.name }
        if state.value(model.bytes) then
          table.insert(words_of, ('%.0f MB'):format(model.bytes / 1e6))
        end
        table.insert(words_of, state.value(model.license))
        table.insert(words_of, model.active and 'in use' or nil)
        table.insert(words_of, not model.installed and 'to be fetched' or nil)
        return table.concat(words_of, ', ')
      end,
    }, function(model)
      if not model then
        return
      elseif not model.installed then
        server.notify(('fetch it first, in a terminal: egate-lsp models pull %s'):format(model.name))
      else
        set(model.name)
      end
    end)
  end)
end

local function open_log()
  server.ask('egate/status', vim.empty_dict(), function(now)
    local path = state.value(now.logFile)
    if path then
      vim.cmd.tabedit(vim.fn.fnameescape(path))
    else
      server.notify('the server writes no log file')
    end
  end)
end

---@type table<string, egate.Command>
M.all = {
  accept = { about = 'accept what is shown', run = act('accept') },
  ['accept-line'] = { about = 'accept its first line', run = act('accept_line') },
  ['accept-word'] = { about = 'accept its first word', run = act('accept_word') },
  next = { about = 'another suggestion', run = act('next') },
  previous = { about = 'the one before', run = act('previous') },
  dismiss = { about = 'take it away, and tell the server', run = act('dismiss') },
  trigger = {
    about = 'ask now',
    run = function()
      if not require('egate').trigger() then
        server.notify('suggestions are asked for in insert mode, in a file that the server serves')
      end
    end,
  },
  why = {
    about = 'who wrote each line of the newest suggestion, and why; `html`: as a page in the browser',
    arguments = { 'html' },
    run = function(argument)
      local why = require('egate.why')
      if argument == 'html' then
        why.open_page()
      else
        why.show()
      end
    end,
  },
  status = { about = "the server's state, model, target, and today's use", run = show_status },
  stats = { about = 'counts of this session and of today', run = show_statistics },
  toggle = {
    about = 'completions off, and on again',
    run = function()
      server.execute('egate.toggle', {}, function(on)
        server.notify(on and 'on' or 'off')
        follow(on)
      end)
    end,
  },
  ['toggle-language'] = {
    about = "the same for this buffer's language",
    run = function()
      local name = language()
      if name == '' then
        return server.notify('this buffer has no filetype')
      end
      server.execute('egate.toggleLanguage', { name }, function(on)
        server.notify(('%s for %s'):format(on and 'on' or 'off', name))
        follow(on)
      end)
    end,
  },
  pause = {
    about = 'do not ask the target (local only), and ask it again',
    run = function()
      server.execute('egate.pauseTarget', {}, function(paused)
        server.notify(paused and 'local only' or 'the target is asked again')
      end)
    end,
  },
  model = { about = 'choose the draft model of this session', run = choose_model },
  restart = { about = 'load the model anew; start a server that has ended', run = server.restart },
  log = { about = "the server's log file", run = open_log },
}

--- The names that `:Egate` takes.
---@return string[]
function M.names()
  local names = vim.tbl_keys(M.all)
  table.sort(names)
  return names
end

--- Completion on the command line.
---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  local words_before = vim.split(vim.trim(line:sub(1, #line - #lead)), '%s+')
  local command = words_before[2] and M.all[words_before[2]]
  return vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, words_before[2] and (command and command.arguments or {}) or M.names())
end

--- Run `:Egate NAME ARGUMENT`.
---@param name string
---@param argument? string
function M.run(name, argument)
  local command = M.all[name]
  if not command then
    server.notify(
      ('there is no `:Egate %s`; there are: %s'):format(name, table.concat(M.names(), ', ')),
      vim.log.levels.ERROR
    )
    return
  end
  command.run(argument)
end

return M
