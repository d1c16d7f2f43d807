-- The action "gate" for haproxy.cfg: asks API Devices about a request.

-- The address of the section "listen gate" in haproxy.cfg.
local GATE = "abns@apidevices-gate"

-- Headers that the gate does not need: those of the connection or body, and cookies, which can be large.
local NOT_FOR_THE_GATE = {
  "connection", "content-length", "cookie", "expect", "host", "keep-alive", "proxy-authorization",
  "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

-- Headers of error responses for the client. CORS headers are for pages on the origins in
-- APIDEVICES_CORS_ORIGINS.
local FOR_THE_CLIENT = {
  "access-control-allow-origin", "access-control-expose-headers", "cache-control", "content-type",
  "retry-after", "vary", "www-authenticate",
}

local ERRORS = { [400] = true, [401] = true, [403] = true, [429] = true, [503] = true }

local function first(headers, name)
  return headers[name] and headers[name][0] or ""
end

core.register_action("gate", { "http-req" }, function(txn)
  local headers = txn.http:req_get_headers()
  for _, name in ipairs(NOT_FOR_THE_GATE) do
    headers[name] = nil
  end
  headers["x-forwarded-for"] = { txn.sf:src() }
  headers["x-original-method"] = { txn.sf:method() }
  headers["x-original-uri"] = { txn.sf:pathq() }

  local response = core.httpclient():get({ url = "http://gate/verify", headers = headers, dst = GATE })

  if response.status == 200 then
    txn:set_var("txn.device_id", first(response.headers, "x-device-id"))
    txn:set_var("txn.device_name", first(response.headers, "x-device-name"))
    txn:set_var("txn.token_name", first(response.headers, "x-token-name"))
    txn:set_var("txn.gate_allows", true)
  elseif ERRORS[response.status] and first(response.headers, "content-type") == "application/problem+json" then
    local reply = txn:reply({ status = response.status, body = response.body })
    for _, name in ipairs(FOR_THE_CLIENT) do
      for _, value in pairs(response.headers[name] or {}) do
        reply:add_header(name, value)
      end
    end
    txn:done(reply)
  end
end)
