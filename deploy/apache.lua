-- The access checker for apache.conf: asks API Devices about a request.

local socket = require "socket"

-- The address of API Devices.
local GATE = "127.0.0.1:8000"
local GATE_HOST, GATE_PORT = GATE:match("^(.*):(%d+)$")
local CONNECT_SECONDS, RESPONSE_SECONDS = 2, 5

-- Headers that the gate does not need: those of the connection or body, cookies, which can be large, and those
-- that the script sets itself.
local NOT_FOR_THE_GATE = {
  ["connection"] = true, ["content-length"] = true, ["cookie"] = true, ["expect"] = true, ["host"] = true,
  ["keep-alive"] = true, ["proxy-authorization"] = true, ["proxy-connection"] = true, ["te"] = true,
  ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true, ["x-forwarded-for"] = true,
  ["x-forwarded-proto"] = true,
}

-- Headers of error responses for the client. CORS headers are for pages on the origins in
-- APIDEVICES_CORS_ORIGINS.
local FOR_THE_CLIENT = {
  "access-control-allow-origin", "access-control-expose-headers", "cache-control", "retry-after", "vary",
  "www-authenticate", "x-request-id",
}

-- Headers that only the gate may send to the API, or only Apache to the gate.
local FORGED = {
  ["x-device-name"] = true, ["x-forwarded-method"] = true, ["x-forwarded-uri"] = true,
  ["x-original-method"] = true, ["x-original-uri"] = true, ["x-request-id"] = true,
  ["x-token-name"] = true,
}

local CONNECTION_OPTIONS = { ["close"] = true, ["keep-alive"] = true, ["upgrade"] = true }

local ERRORS = { [400] = true, [401] = true, [403] = true, [429] = true, [503] = true }

local UNAVAILABLE = {
  status = 503,
  headers = { ["cache-control"] = "no-store", ["retry-after"] = "2" },
  body = '{"type": "urn:apidevices:problem:unavailable", "title": "Temporarily unavailable", "status": 503, '
    .. '"detail": "The request could not be checked. Try again shortly.", "code": "unavailable"}',
}

-- The connection to the gate that this Lua state keeps alive.
local kept

local function request_to_gate(r)
  local lines = {
    "GET /verify HTTP/1.1",
    "Host: " .. GATE,
    "X-Forwarded-For: " .. r.useragent_ip,
    "X-Forwarded-Proto: " .. (r.is_https and "https" or "http"),
    "X-Original-Method: " .. r.method,
    "X-Original-URI: " .. r.unparsed_uri,
  }
  for name, value in pairs(r:headers_in_table()) do
    if not NOT_FOR_THE_GATE[name:lower()] then
      lines[#lines + 1] = name .. ": " .. value
    end
  end
  for _, line in ipairs(lines) do
    assert(not line:find("[\r\n\0]"), "line break in a header")
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- Return the response. Raise an error if the connection fails or the response is incomplete.
local function read_response(connection, status_line)
  local response = { status = tonumber(status_line:match("^HTTP/1%.1 (%d%d%d)")), headers = {} }
  for line in function() return assert(connection:receive("*l")) end do
    if line == "" then break end
    local name, value = line:match("^([^:%s]+):%s*(.-)%s*$")
    response.headers[name:lower()] = value
  end
  local length = assert(tonumber(response.headers["content-length"]), "no Content-Length")
  response.body = length > 0 and assert(connection:receive(length)) or ""  -- receive(0) would wait
  return response
end

local function exchange(request)
  local connection, reused = kept, kept ~= nil
  kept = nil
  if not reused then
    connection = socket.tcp()
    connection:settimeout(CONNECT_SECONDS)
    assert(connection:connect(GATE_HOST, GATE_PORT))
    connection:setoption("tcp-nodelay", true)
  end
  connection:settimeout(RESPONSE_SECONDS)

  local sent, problem = connection:send(request)
  local status_line
  if sent then
    status_line, problem = connection:receive("*l")
  end
  if not status_line then
    connection:close()
    -- The gate closes idle connections, and may do so while the request is on its way.
    if reused and problem == "closed" then return exchange(request) end
    error(problem)
  end

  local complete, response = pcall(read_response, connection, status_line)
  if complete and (response.headers["connection"] or ""):lower() ~= "close" then
    kept = connection
  else
    connection:close()
  end
  return complete and response or error(response)
end

local function deny(r, response)
  r.status = response.status
  r.content_type = "application/problem+json"
  for _, name in ipairs(FOR_THE_CLIENT) do
    if response.headers[name] then r.err_headers_out[name] = response.headers[name] end
  end
  r:puts(response.body)
  return apache2.DONE
end

-- Remove or replace headers that would mislead the API or the gate.
local function clean(r)
  for name in pairs(r:headers_in_table()) do
    -- Many servers read X_Device_Name as X-Device-Name.
    if FORGED[name:lower()] or name:find("_", 1, true) then r.headers_in[name] = nil end
  end
  -- A client that asks for several protocols must not get another one than WebSocket.
  local upgrade = r.headers_in["Upgrade"]
  if upgrade then r.headers_in["Upgrade"] = upgrade:lower():find("websocket", 1, true) and "websocket" or nil end
  -- A client that lists a header in Connection must not remove it from requests to the API.
  local options = {}
  for option in (r.headers_in["Connection"] or ""):gmatch("[^,%s]+") do
    if CONNECTION_OPTIONS[option:lower()] then options[#options + 1] = option end
  end
  r.headers_in["Connection"] = #options > 0 and table.concat(options, ", ") or nil
end

function check(r)
  clean(r)
  local answered, response = pcall(function() return exchange(request_to_gate(r)) end)
  if not answered then
    r:err("The gate doesn't respond: " .. tostring(response))
    return deny(r, UNAVAILABLE)
  end
  if response.status ~= 200 then
    return deny(r, ERRORS[response.status] and response or UNAVAILABLE)
  end

  -- Set the headers of the gate. This also replaces the client's own.
  for _, name in ipairs({ "X-Device-Id", "X-Device-Name", "X-Token-Name", "X-Request-ID" }) do
    r.headers_in[name] = response.headers[name:lower()] or ""
  end
  -- The same request id for the gate, the API and the client, to find the request in all logs.
  r.err_headers_out["X-Request-ID"] = response.headers["x-request-id"]
  r.headers_in["X-Forwarded-Proto"] = r.is_https and "https" or "http"
  return apache2.DECLINED
end
