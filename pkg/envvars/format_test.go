package envvars

import (
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"testing"
)

var variables = []Variable{{"WEB_SERVICE_HOST", "2001:db8::1"}, {"WEB_PORT", "tcp://[2001:db8::1]:80"}, {"1A_SERVICE_HOST", "10.0.0.1"}}

func TestWrite(t *testing.T) {
	t.Parallel()
	for format, want := range map[Format]struct {
		text string
		left []string
	}{
		Shell:  {"export WEB_SERVICE_HOST='2001:db8::1'\nexport WEB_PORT='tcp://[2001:db8::1]:80'\n", []string{"1A_SERVICE_HOST"}},
		Dotenv: {"WEB_SERVICE_HOST=2001:db8::1\nWEB_PORT=tcp://[2001:db8::1]:80\n", []string{"1A_SERVICE_HOST"}},
		JSON:   {"{\n  \"1A_SERVICE_HOST\": \"10.0.0.1\",\n  \"WEB_PORT\": \"tcp://[2001:db8::1]:80\",\n  \"WEB_SERVICE_HOST\": \"2001:db8::1\"\n}\n", nil},
	} {
		if text, left, err := Write(format, variables); err != nil || text != want.text || !slices.Equal(left, want.left) {
			t.Errorf("%s: left %v, error %v\n%s", format, left, err, text)
		}
	}
	for format, want := range map[Format]string{Shell: "", Dotenv: "", JSON: "{}\n"} {
		if text, left, err := Write(format, nil); err != nil || text != want || left != nil {
			t.Errorf("nothing as %s: left %v, error %v\n%s", format, left, err, text)
		}
	}
	if _, _, err := Write("yaml", variables); err == nil {
		t.Error("there is no error for a format that there isn't")
	}
}

// TestHostileVariables writes variables that no correct server has. The command can be
// pointed at any server, and a shell runs what it prints.
func TestHostileVariables(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"QUOTE": `it's "$HOME" '$(echo run)'`, "LINES": "a\nexport B=c\n# `echo run` \\", "GLOB": "[a]* ~ ; exit 1", "EMPTY": "",
	}
	names := []string{"A;echo run", "A\nexport B", "A=B", "", "Ä", "$(echo run)"}
	var foreign []Variable
	for _, name := range slices.Sorted(maps.Keys(values)) {
		foreign = append(foreign, Variable{name, values[name]})
	}
	for _, name := range names {
		foreign = append(foreign, Variable{name, "x"})
	}

	text, left, err := Write(Shell, foreign)
	if err != nil || !slices.Equal(left, names) {
		t.Errorf("left %q, error %v", left, err)
	}
	for name, want := range values {
		out, err := exec.CommandContext(t.Context(), "sh", "-euc", text+`printf %s "$`+name+`"`).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s is %q in a shell, %v, and should be %q", name, out, err, want)
		}
	}
	if text, left, err := Write(Dotenv, foreign); err != nil || text != "" || len(left) != len(foreign) {
		t.Errorf("left %q, error %v\n%s", left, err, text)
	}
	text, left, err = Write(JSON, foreign)
	var got map[string]string
	if err != nil || left != nil || json.Unmarshal([]byte(text), &got) != nil || got["LINES"] != values["LINES"] || got["A=B"] != "x" {
		t.Errorf("left %q, error %v\n%s", left, err, text)
	}
}
