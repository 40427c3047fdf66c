-- Whether the model answers. Any answer of it counts; where nobody asks, the watchdog does.
local contract = require "contract"
local errors = require "errors"
local requests = require "requests"

local M = {}

local state = ngx.shared.front

local EVERY_SECONDS = 0.5
local POLL_SECONDS = 0.1
-- Without an answer for so long, the server is not ready; or for twice as long as the slowest of late
-- took, where long texts on a small machine take longer than that.
local PATIENCE_SECONDS = 2.5
local LATE_SECONDS = 300
local PROBE_MILLISECONDS = 60000

-- The model has answered, after so many seconds.
local function note(seconds)
  state:set("answered", ngx.now())
  if seconds > (state:get("slowest") or 0) then
    state:set("slowest", seconds, LATE_SECONDS)
  end
end

-- For header_filter_by_lua of what the server answers.
function M.note_status()
  if ngx.status == 200 then
    note(tonumber(ngx.var.upstream_header_time) or 0)
  end
end

-- Whether it did lately.
function M.is_ready()
  local answered = state:get("answered")
  local patience = math.max(PATIENCE_SECONDS, 2 * (state:get("slowest") or 0))
  return answered ~= nil and ngx.now() - answered < patience
end

local probing = false

local function ask()
  local columns = {}
  for _, name in ipairs(contract.inputs) do
    columns[name] = { "ready?" }
  end
  local body = requests.encode(columns, 1, nil, nil)
  local socket = ngx.socket.tcp()
  socket:settimeout(PROBE_MILLISECONDS)
  local connected = socket:connect("127.0.0.1", contract.triton_port)
  if not connected then
    return
  end
  socket:send("POST " .. contract.path .. "/infer HTTP/1.1\r\nHost: triton\r\nConnection: close\r\n"
    .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
  local line = socket:receive()
  if line and string.find(line, " 200 ", 1, true) then
    note(0)
  end
  socket:close()
end

local function watch(premature)
  local answered = state:get("answered")
  if premature or probing or (answered and ngx.now() - answered < EVERY_SECONDS) then
    return
  end
  -- One at a time: a model that hangs gets no second one to hang on.
  probing = true
  pcall(ask)
  probing = false
end

-- For init_worker_by_lua; one worker asks.
function M.start()
  if ngx.worker.id() == 0 then
    ngx.timer.at(0, watch)
    ngx.timer.every(POLL_SECONDS, watch)
  end
end

-- For content_by_lua of the endpoints that ask whether it is ready.
function M.answer()
  if M.is_ready() then
    return ngx.exit(200)
  end
  return errors.refuse(503, "not_ready", "not ready")
end

return M
