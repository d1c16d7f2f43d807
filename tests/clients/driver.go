// Makes one call with the published snippet, which is in the same package.
package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	var call struct {
		URL, Method, Token, Model string
		Body                      *string
		DeviceID                  string  `json:"device_id"`
		Backoff                   float64 // seconds
		LongestWait               float64 `json:"longest_wait"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&call); err != nil {
		panic(err)
	}
	client := NewClient(call.Token, call.DeviceID, call.Model)
	client.Backoff = time.Duration(call.Backoff * float64(time.Second))
	client.LongestWait = time.Duration(call.LongestWait * float64(time.Second))

	request, err := http.NewRequest(call.Method, call.URL, nil)
	if call.Body != nil {
		request, err = http.NewRequest(call.Method, call.URL, strings.NewReader(*call.Body))
	}
	if err != nil {
		panic(err)
	}
	request.Header.Set("X-Trace", "17")

	result := map[string]any{"outcome": "ok"}
	body, err := client.Do(request)
	var rejected *Error
	switch {
	case errors.As(err, &rejected) && rejected.DeviceBlocked():
		result["outcome"] = "blocked"
	case errors.As(err, &rejected) && rejected.SignInRequired():
		result["outcome"] = "sign in"
	case rejected != nil:
		result = map[string]any{
			"outcome": "error", "status": rejected.Status, "message": rejected.Error(),
		}
	case err != nil:
		result["outcome"] = "unreachable"
	case len(body) > 0:
		result["value"] = json.RawMessage(body)
	}
	json.NewEncoder(os.Stdout).Encode(result)
}
