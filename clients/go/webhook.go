package sluice

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const toleranceSeconds = 300

var timeForm = regexp.MustCompile(`^[0-9]{1,12}$`)

// VerifyWebhook gives the notice of a body as it came, byte for byte, when it comes from who has the secret and is not
// from long ago: the Standard Webhooks specification, with its v1 signatures. Secrets are whsec_ and Base64; two while
// one is exchanged for another. Numbers are of json.Number. A notice that is not genuine is ErrAuth: NOT_GENUINE.
func VerifyWebhook(body []byte, header http.Header, secrets ...string) (map[string]any, error) {
	return verifyWebhook(body, header, time.Now(), secrets)
}

func verifyWebhook(body []byte, header http.Header, now time.Time, secrets []string) (map[string]any, error) {
	id, sent := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	if id == "" || !timeForm.MatchString(sent) {
		return nil, notGenuine("The notice has no id or no time")
	}
	seconds, _ := strconv.ParseInt(sent, 10, 64)
	if age := now.Unix() - seconds; age > toleranceSeconds || age < -toleranceSeconds {
		return nil, notGenuine("The notice is from another time; is the clock right?")
	}
	for _, secret := range secrets {
		secret = strings.TrimRight(strings.TrimPrefix(secret, "whsec_"), "=")
		key, err := base64.RawStdEncoding.DecodeString(secret)
		if err != nil || len(key) == 0 {
			return nil, usage("A secret of webhooks is whsec_ and Base64.")
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + sent + "."))
		mac.Write(body)
		expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for _, signature := range strings.Split(header.Get("Webhook-Signature"), " ") {
			if hmac.Equal(expected, []byte(signature)) {
				return noticeIn(body)
			}
		}
	}
	return nil, notGenuine("No signature of the notice is of this secret")
}

func noticeIn(body []byte) (map[string]any, error) {
	var notice map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&notice) != nil || notice == nil || decoder.More() {
		return nil, notGenuine("The notice is no JSON object")
	}
	return notice, nil
}

func notGenuine(detail string) *Error {
	return &Error{Code: "NOT_GENUINE", Detail: detail, kind: ErrAuth}
}
