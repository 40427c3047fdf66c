-- Counters of the front, beside those of the server.
local M = {}

local state = ngx.shared.metrics

-- Upper bounds of seconds.
local BUCKETS = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 }

-- For log_by_lua. Routes are names out of nginx.conf, nothing of the client's.
function M.count()
  local route = ngx.var.route ~= "" and ngx.var.route or "other"
  state:incr('front_requests_total{route="' .. route .. '",code="' .. ngx.status .. '"}', 1, 0)
  local reason = ngx.var.reason
  if reason ~= "" then
    state:incr('front_refused_total{reason="' .. reason .. '"}', 1, 0)
  end
  local seconds = tonumber(ngx.var.request_time) or 0
  local label = 'front_request_seconds_bucket{route="' .. route .. '",le="'
  for _, bound in ipairs(BUCKETS) do
    if seconds <= bound then
      state:incr(label .. bound .. '"}', 1, 0)
    end
  end
  state:incr(label .. '+Inf"}', 1, 0)
  state:incr('front_request_seconds_sum{route="' .. route .. '"}', seconds, 0)
  state:incr('front_request_seconds_count{route="' .. route .. '"}', 1, 0)
end

local FAMILIES = {
  { "front_requests_total", "counter", "Requests by route and status." },
  { "front_refused_total", "counter", "Requests that the front itself refused, by reason." },
  { "front_request_seconds", "histogram", "From the first byte of a request to the last of its answer." },
}

-- For content_by_lua.
function M.answer()
  ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
  local keys = state:get_keys(0)
  table.sort(keys)
  for _, family in ipairs(FAMILIES) do
    ngx.say("# HELP ", family[1], " ", family[3])
    ngx.say("# TYPE ", family[1], " ", family[2])
    for _, key in ipairs(keys) do
      if string.find(key, family[1], 1, true) == 1 then
        ngx.say(key, " ", state:get(key))
      end
    end
  end
  ngx.say("# HELP front_requests_in_flight Requests that the model works on.")
  ngx.say("# TYPE front_requests_in_flight gauge")
  ngx.say("front_requests_in_flight ", require("guard").in_flight())
  local reply = ngx.location.capture("/-/metrics")
  if reply.status == 200 then
    ngx.print(reply.body)
  end
end

return M
