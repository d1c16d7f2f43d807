// Makes one call with a published snippet, in Node.js or in a browser.
export async function drive({ createApi, deviceHeaders, ApiError }, call) {
  const headers = deviceHeaders(call.token, call.device_id, call.model);
  const callApi = createApi(headers, {
    backoff: 1000 * call.backoff,
    longestWait: 1000 * call.longest_wait,
  });
  const options = { method: call.method, headers: new Headers({ "X-Trace": "17" }) };
  if (call.body !== null) options.body = options.data = call.body; // the names that fetch and axios use
  try {
    return { outcome: "ok", value: await callApi(call.url, options) };
  } catch (error) {
    if (!(error instanceof ApiError)) return { outcome: "unreachable", message: String(error) };
    if (error.deviceBlocked) return { outcome: "blocked" };
    if (error.signInRequired) return { outcome: "sign in" };
    return { outcome: "error", status: error.status, message: error.message };
  }
}
