// Makes one call by the published snippet, which lies beside it in the same package.
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

	ended := map[string]any{"outcome": "ok"}
	body, err := client.Do(request)
	var refused *Error
	switch {
	case errors.As(err, &refused) && refused.DeviceBlocked():
		ended["outcome"] = "blocked"
	case errors.As(err, &refused) && refused.SignInRequired():
		ended["outcome"] = "sign in"
	case refused != nil:
		ended = map[string]any{
			"outcome": "error", "status": refused.Status, "message": refused.Error(),
		}
	case err != nil:
		ended["outcome"] = "unreachable"
	case len(body) > 0:
		ended["value"] = json.RawMessage(body)
	}
	json.NewEncoder(os.Stdout).Encode(ended)
}
