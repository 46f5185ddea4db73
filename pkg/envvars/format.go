package envvars

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Format is a way to write variables down.
type Format string

const (
	// Shell is a line for each variable that sets it in a POSIX shell and exports
	// it. Values are quoted: nothing in them is run or expanded.
	Shell Format = "sh"
	// Dotenv is a line NAME=value for each variable. The value is bare, as the
	// readers of such files don't agree on quotes.
	Dotenv Format = "dotenv"
	// JSON is an object with the variables' names and values.
	JSON Format = "json"
)

// Formats are all there are.
var Formats = []Format{Shell, Dotenv, JSON}

var (
	// identifier is a variable's name in a POSIX shell, 2.9.1 and 3.216 of its
	// specification.
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// plain is a value that every reader of a dotenv file takes as it is.
	plain = regexp.MustCompile(`^[A-Za-z0-9_.:/\[\]-]+$`)
)

// Write writes the variables down. Left are the names of those that can't be
// written so: a shell has no variable whose name begins with a digit, and would
// stop there. Neither have many that read dotenv files. JSON leaves none. The
// error says that there is no such format.
func Write(format Format, variables []Variable) (text string, left []string, err error) {
	switch format {
	case Shell:
		text, left = lines(variables, func(v Variable) (string, bool) {
			return "export " + v.Name + "=" + quote(v.Value), identifier.MatchString(v.Name)
		})
		return text, left, nil
	case Dotenv:
		text, left = lines(variables, func(v Variable) (string, bool) {
			return v.Name + "=" + v.Value, identifier.MatchString(v.Name) && plain.MatchString(v.Value)
		})
		return text, left, nil
	case JSON:
		text, err = object(variables)
		return text, nil, err
	}
	return "", nil, fmt.Errorf("unknown format %q", format)
}

func lines(variables []Variable, line func(Variable) (text string, possible bool)) (text string, left []string) {
	var b strings.Builder
	for _, variable := range variables {
		text, possible := line(variable)
		if !possible {
			left = append(left, variable.Name)
			continue
		}
		b.WriteString(text + "\n")
	}
	return b.String(), left
}

// quote makes one word of a text that a shell takes literally.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func object(variables []Variable) (string, error) {
	values := make(map[string]string, len(variables))
	for _, variable := range variables {
		values[variable.Name] = variable.Value
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(values)
	return b.String(), err
}
