package merge

import (
	"encoding/json"
	"math"
	"time"

	"connrace/detect"
)

// seconds is a duration; null: unknown.
type seconds detect.Duration

func (s *seconds) UnmarshalJSON(b []byte) error {
	var v *float64
	if err := json.Unmarshal(b, &v); err != nil || v == nil {
		return err
	}
	*s = seconds{NS: int64(math.Round(min(max(*v, -9e9), 9e9) * 1e9)), Known: true}
	return nil
}

// stamp is a time; null: 0.
type stamp int64

func (t *stamp) UnmarshalJSON(b []byte) error {
	var v *time.Time
	if err := json.Unmarshal(b, &v); err != nil || v == nil {
		return err
	}
	*t = stamp(v.UnixNano())
	return nil
}
