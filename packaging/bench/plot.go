package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

type bar struct {
	name  string
	value float64
}

const (
	ink  = `fill="#24292f"`
	soft = `stroke="#d0d7de"`
)

func svg(width, height int) *strings.Builder {
	b := &strings.Builder{}
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	return b
}

// barPlot draws one bar a line; a mark > 0 is a vertical line at that value.
func barPlot(title string, bars []bar, mark float64) string {
	const left, width, line = 330, 860, 24
	top := 46
	largest := mark
	for _, v := range bars {
		largest = math.Max(largest, v.value)
	}
	b := svg(width, top+line*len(bars)+16)
	fmt.Fprintf(b, `<text x="16" y="24" font-size="15" %s>%s</text>`+"\n", ink, html.EscapeString(title))
	scale := float64(width-left-80) / largest
	for i, v := range bars {
		y, color := top+line*i, "#8c959f"
		if v.name == "this" || mark > 0 && v.value <= mark {
			color = "#1f883d"
		} else if mark > 0 {
			color = "#cf222e"
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" %s>%s</text>`, left-8, y+14, ink, html.EscapeString(shorten(v.name, 52)))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="16" rx="2" fill="%s"/>`, left, y+2, v.value*scale, color)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" %s>%.3g</text>`+"\n", float64(left)+v.value*scale+6, y+14, ink, v.value)
	}
	if mark > 0 {
		x := float64(left) + mark*scale
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#24292f" stroke-dasharray="4 3"/>`+"\n", x, x, top-4, top+line*len(bars)+4)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// linePlot draws a growth row: requests/s (or MB/s) on the left axis, memory on the right one.
func linePlot(r result) string {
	const width, height, left, right, top, bottom = 640, 340, 70, 70, 46, 40
	main, mainName := func(f figures) float64 { return f.RPS }, "requests/s"
	if _, ok := r.Sides[0].Extra["mb_per_s"]; ok {
		main, mainName = func(f figures) float64 { return f.Extra["mb_per_s"] }, "MB/s"
	}
	memory := func(f figures) float64 { return math.Max(f.Extra["pss"], f.Extra["peak_pss"]) }
	b := svg(width, height)
	fmt.Fprintf(b, `<text x="16" y="24" font-size="15" %s>%s</text>`+"\n", ink, html.EscapeString(r.Title))
	x := func(i int) float64 {
		return left + 20 + float64(i)*float64(width-left-right-40)/math.Max(1, float64(len(r.Sides)-1))
	}
	line := func(of func(figures) float64, name, color, anchor string, at int) {
		largest := 0.0
		for _, f := range r.Sides {
			largest = math.Max(largest, of(f))
		}
		if largest == 0 {
			return
		}
		largest *= 1.1
		y := func(v float64) float64 { return float64(height-bottom) - v/largest*float64(height-top-bottom-10) }
		var points []string
		for i, f := range r.Sides {
			if of(f) > 0 {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(i), y(of(f))))
				fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x(i), y(of(f)), color)
			}
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color)
		for _, share := range []float64{0, .25, .5, .75, 1} {
			v := largest / 1.1 * share
			fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="%s" fill="%s">%.3g</text>`, at, y(v)+4, anchor, color, v)
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="%s">%s</text>`+"\n", at, top-4, anchor, color, name)
	}
	fmt.Fprintf(b, `<path d="M%d %dV%dH%d" fill="none" %s/>`+"\n", left, top, height-bottom, width-right, soft)
	for i, f := range r.Sides {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle" %s>%s</text>`+"\n", x(i), height-bottom+18, ink, html.EscapeString(f.Side))
	}
	line(main, mainName, "#1f883d", "end", left-6)
	line(memory, "memory, MB", "#0969da", "start", width-right+6)
	b.WriteString("</svg>\n")
	return b.String()
}
