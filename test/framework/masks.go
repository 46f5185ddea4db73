package framework

// Regular expressions of what differs between two servers, or two runs, that do the same.
const (
	// UIDs matches UIDs of objects.
	UIDs = `\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`
	// Times matches times in objects, in cells of tables and in what kubectl describes.
	Times = `\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)? ?(Z|[+-]\d\d:?\d\d)` +
		`|\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d [+-]\d{4}`
	// Ages matches ages in tables up to three hours: 0s, 119s, 2m, 2m1s, 10m.
	Ages = `\b(\d+m\d+s|\d+[ms])\b`
)
