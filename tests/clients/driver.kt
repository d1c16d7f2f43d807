// Makes calls with the published snippet, which is compiled together with this file. Reads one call per
// line of standard input and prints one result per line.

import java.io.IOException
import java.util.concurrent.TimeUnit
import okhttp3.MediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody
import okhttp3.Response
import okhttp3.ResponseBody
import org.json.JSONObject
import org.json.JSONTokener

// The snippet is for OkHttp 4 and later, which turned these methods into properties. Debian has OkHttp 3.
val Response.code get() = code()
val Response.body: ResponseBody? get() = body()
val Response.headers get() = headers()

// Android's classes that the snippet uses.
object Build {
    object VERSION { const val RELEASE = "16" }
    const val MANUFACTURER = "Samsung"
    var MODEL = ""
}
object BuildConfig { const val VERSION_NAME = "6.1.0" }

// The values that the last lines of the snippet use.
const val token = "secret"
const val deviceId = "front-desk-7"

fun makeCall(call: JSONObject): JSONObject {
    fun milliseconds(name: String) = (call.getDouble(name) * 1000).toLong()
    Build.MODEL = call.getString("model")
    val client = OkHttpClient.Builder()
        .addInterceptor(Retries(backoff = milliseconds("backoff"), longestWait = milliseconds("longest_wait")))
        .addInterceptor(DeviceHeaders(call.getString("token"), call.getString("device_id")))
        .readTimeout(30, TimeUnit.SECONDS)
        .build()
    val body = if (call.isNull("body")) null else call.getString("body")
    val request = Request.Builder()
        .url(call.getString("url"))
        .header("X-Trace", "17")
        .method(call.getString("method"), body?.let { RequestBody.create(MediaType.get("application/json"), it) })
        .build()
    val result = JSONObject().put("outcome", "ok")
    try {
        val text = client.callApi(request)
        if (text.isNotEmpty()) result.put("value", JSONTokener(text).nextValue())
    } catch (error: ApiException) {
        when {
            error.deviceBlocked -> result.put("outcome", "blocked")
            error.signInRequired -> result.put("outcome", "sign in")
            else -> result.put("outcome", "error").put("status", error.status).put("message", error.message)
        }
    } catch (error: IOException) {
        result.put("outcome", "unreachable")
    }
    return result
}

fun main() {
    for (line in generateSequence(::readLine)) println(makeCall(JSONObject(line)))
}
