// Package browser opens portolan ui in a headless Chromium, with the keyboard only, and
// looks at what it shows and at what a screen reader gets. Without a chromium on the PATH
// its tests are skipped, and say so.
package browser
