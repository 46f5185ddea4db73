package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	texttemplate "text/template"

	"github.com/spf13/cobra"
)

func newPlotCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plot REPORT.json",
		Short: "Draw rates and memory over the number of Services, from a run whose --json has been kept",
		Long: `Draws the rate of ClusterIP creates with the most clients, and the resident
memory, over the number of Services in place. The drawing is an SVG on stdout.`,
		Args:          cobra.ExactArgs(1),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := readReport(args[0])
			if err != nil {
				return err
			}
			return report.plot(cmd.OutOrStdout())
		},
	}
}

// series has a figure of a server for each number of Services.
type series map[int]float64

// plot writes the drawing.
func (r *Report) plot(out io.Writer) error {
	rates, clients := r.rates()
	memory := map[string]series{kubeName: {}, portolanName: {}}
	for _, m := range r.Memory {
		for name := range memory {
			if resident, ok := m.Servers[name]; ok && m.Services != nil {
				memory[name][*m.Services] = float64(resident.Bytes >> 20)
			}
		}
	}
	rate, err := newPanel(0, fmt.Sprintf("ClusterIP creates per second, %d clients, logarithmic", clients), rates, logarithmic)
	if err != nil {
		return err
	}
	resident, err := newPanel(1, "resident memory, MiB", memory, linear)
	if err != nil {
		return err
	}
	return drawing().Execute(out, []panel{rate, resident})
}

// rates returns the rates of creates with the most clients, and how many those are.
func (r *Report) rates() (rates map[string]series, clients int) {
	rates = map[string]series{kubeName: {}, portolanName: {}}
	creates := slices.DeleteFunc(slices.Clone(r.Requests), func(c *Cell) bool { return c.Op != opCreate || c.Kind != clusterIP })
	for _, c := range creates {
		clients = max(clients, c.Clients)
	}
	for _, c := range creates {
		for name := range rates {
			if rounds := c.Rounds[name]; c.Clients == clients && len(rounds) > 0 {
				rates[name][c.Services] = over(rounds).Rate
			}
		}
	}
	return rates, clients
}

// The size of a panel and of its axes, in pixels.
const (
	panelWidth, panelHeight = 460.0, 300.0
	axisLeft, axisTop       = 30.0, 70.0
	axisWidth, axisHeight   = 380.0, 190.0
)

// panel is one of the plots side by side, as drawing shows it.
type panel struct {
	Left  float64
	Title string
	// Ticks are the numbers of Services.
	Ticks []mark
	Lines []line
}

type line struct {
	Name, Color string
	// LegendX is where the name stands.
	LegendX float64
	Points  []mark
}

// mark is a place in a panel and the number there.
type mark struct {
	X, Y float64
	Text string
}

// scale returns how high a value is between 0 and 1, for values up to most.
type scale func(value, most float64) float64

func linear(value, most float64) float64 { return value / most }

// logarithmic has 10 at the bottom.
func logarithmic(value, most float64) float64 {
	return max(0, math.Log10(value)-1) / (math.Log10(most) - 1)
}

func newPanel(number int, title string, figures map[string]series, up scale) (panel, error) {
	p := panel{Left: float64(number) * panelWidth, Title: title}
	levels, most := 0, 0.0
	for _, of := range figures {
		if len(of) == 0 {
			return panel{}, errors.New("the report has no figures for: " + title)
		}
		for services, value := range of {
			levels, most = max(levels, services), max(most, value)
		}
	}
	across := func(services int) float64 { return axisLeft + axisWidth*float64(services)/float64(max(levels, 1)) }
	for i, server := range []struct{ name, title, color string }{
		{kubeName, "kube-apiserver with its etcd", "#d1242f"}, {portolanName, "Portolan", "#0969da"},
	} {
		l := line{Name: server.title, Color: server.color, LegendX: axisLeft + float64(i)*180}
		for _, services := range slices.Sorted(maps.Keys(figures[server.name])) {
			value := figures[server.name][services]
			l.Points = append(l.Points, mark{across(services), axisTop + axisHeight*(1-up(value, most)), thousands(int(math.Round(value)))})
		}
		p.Lines = append(p.Lines, l)
	}
	for _, services := range slices.Sorted(maps.Keys(figures[portolanName])) {
		p.Ticks = append(p.Ticks, mark{across(services), axisTop + axisHeight, thousands(services)})
	}
	return p, nil
}

func drawing() *texttemplate.Template {
	return texttemplate.Must(texttemplate.New("plot").Parse(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %v %v" `+
		`font-family="sans-serif" font-size="12" fill="#57606a" text-anchor="middle">
<rect width="100%%" height="100%%" fill="#ffffff"/>
{{range .}}<g transform="translate({{.Left}} 0)">
<text x="%[3]v" y="24" font-size="14" fill="#1f2328" text-anchor="start">{{.Title}}</text>
<path d="M%[3]v %[4]vh%[5]v" stroke="#57606a"/>
{{range .Ticks}}<text x="{{printf "%%.1f" .X}}" y="%[6]v">{{.Text}}</text>
{{end}}<text x="%[7]v" y="%[8]v">Services in place</text>
{{range .Lines}}<text x="{{.LegendX}}" y="44" fill="{{.Color}}" text-anchor="start">{{.Name}}</text>
<polyline fill="none" stroke-width="2" stroke="{{.Color}}" points="{{range .Points}}{{printf "%%.1f,%%.1f " .X .Y}}{{end}}"/>
{{$color := .Color}}{{range .Points}}<circle cx="{{printf "%%.1f" .X}}" cy="{{printf "%%.1f" .Y}}" r="3" fill="{{$color}}"/>
<text x="{{printf "%%.1f" .X}}" y="{{printf "%%.1f" .Y}}" dy="-8" fill="{{$color}}">{{.Text}}</text>
{{end}}{{end}}</g>
{{end}}</svg>
`, 2*panelWidth, panelHeight, axisLeft, axisTop+axisHeight, axisWidth, axisTop+axisHeight+16, axisLeft+axisWidth/2, axisTop+axisHeight+34)))
}
