-- Asks weir whether a request may pass, and leaves what it said in txn.weir_status; 0: it did not answer. haproxy.cfg
-- decides what each status means.
local url = "http://127.0.0.1:8080/v1/auth"

core.register_action("weir", { "http-req" }, function(txn)
  local reply = core.httpclient():get({
    url = url,
    timeout = 200,
    headers = {
      ["x-original-method"] = { txn.sf:method() },
      ["x-original-uri"] = { txn.sf:pathq() },
      ["x-forwarded-for"] = { txn.sf:src() },
      -- haproxy.cfg removes what visitors write here.
      ["x-user-id"] = { txn.sf:req_hdr("x-user-id") },
      ["x-tenant-id"] = { txn.sf:req_hdr("x-tenant-id") },
      ["x-api-key"] = { txn.sf:req_hdr("x-api-key") },
    },
  })
  txn:set_var("txn.weir_status", reply.status or 0)
  if not reply.headers then return end
  local function copy(header, variable)
    local values = reply.headers[header]
    if values then txn:set_var(variable, values[0] or values[1]) end
  end
  copy("x-weir-allowed", "txn.weir_allowed")
  copy("ratelimit", "txn.weir_ratelimit")
  copy("ratelimit-policy", "txn.weir_policy")
  copy("retry-after", "txn.weir_retry_after")
  txn:set_var("txn.weir_body", reply.body or "")
end)
