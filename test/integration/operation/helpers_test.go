package operation

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
)

// silent is the log of servers that are spoken to wrongly on purpose.
var silent = log.New(io.Discard, "", 0)

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
