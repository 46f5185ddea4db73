package envvars

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Format is a text format for variables.
type Format string

const (
	// Shell has a line for each variable that sets and exports it in a POSIX shell.
	// Values are quoted, so that the shell neither runs nor expands anything in them.
	Shell Format = "sh"
	// Dotenv has a line NAME=value for each variable. Values are not quoted, because
	// the readers of such files treat quotes differently.
	Dotenv Format = "dotenv"
	// JSON is an object with the names and values of the variables.
	JSON Format = "json"
)

// Formats lists all formats.
var Formats = []Format{Shell, Dotenv, JSON}

var (
	// identifier matches the names of variables in a POSIX shell (2.9.1 and 3.216 of
	// its specification).
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// plain matches values that all readers of dotenv files read alike.
	plain = regexp.MustCompile(`^[A-Za-z0-9_.:/\[\]-]+$`)
)

// Write formats the variables. It returns the names of those that the format can't
// express as skipped: a shell fails on a name that begins with a digit, and so do
// many readers of dotenv files. JSON skips none. Write fails if the format is
// unknown.
func Write(format Format, variables []Variable) (text string, skipped []string, err error) {
	switch format {
	case Shell:
		text, skipped = lines(variables, func(v Variable) (string, bool) {
			return "export " + v.Name + "=" + quote(v.Value), identifier.MatchString(v.Name)
		})
		return text, skipped, nil
	case Dotenv:
		text, skipped = lines(variables, func(v Variable) (string, bool) {
			return v.Name + "=" + v.Value, identifier.MatchString(v.Name) && plain.MatchString(v.Value)
		})
		return text, skipped, nil
	case JSON:
		text, err = object(variables)
		return text, nil, err
	}
	return "", nil, fmt.Errorf("unknown format %q", format)
}

func lines(variables []Variable, line func(Variable) (text string, possible bool)) (text string, skipped []string) {
	var b strings.Builder
	for _, variable := range variables {
		text, possible := line(variable)
		if !possible {
			skipped = append(skipped, variable.Name)
			continue
		}
		b.WriteString(text + "\n")
	}
	return b.String(), skipped
}

// quote quotes a text so that a shell reads it as one literal word.
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
