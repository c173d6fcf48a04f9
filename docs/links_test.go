// Package docs has no code but the tests of what is written here.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestLinks looks for what the relative links of all pages of the repository lead to: files, and headings in them.
func TestLinks(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		for _, link := range linksOf(read(t, page)) {
			links++
			if broken := follow(t, page, link); broken != "" {
				t.Errorf("%s: the link to %s leads nowhere: %s", page, link, broken)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

func TestLinksOf(t *testing.T) {
	const page = "See [a](b.md#c-d), [e](https://example.org) and [what\nis here](f/g.go).\n```\n[no](link)\n```\n`[nor](this)` but [h](#i)."
	if got, want := linksOf(page), []string{"b.md#c-d", "f/g.go", "#i"}; !slices.Equal(got, want) {
		t.Errorf("links are %q, not %q", got, want)
	}
	if got, want := anchorsOf("# What *is* `a.b`?\n```\n# no heading\n```\n## What is a.b?\n"), []string{"what-is-ab", "what-is-ab-1"}; !slices.Equal(got, want) {
		t.Errorf("anchors are %q, not %q", got, want)
	}
}

// pages returns the paths of all pages that are committed or could be.
func pages(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Fields(string(out))
}

func read(t *testing.T, page string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var (
	code    = regexp.MustCompile("(?ms)^ *```.*?^ *```$|`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
)

// linksOf returns the targets of a page's links within the repository.
func linksOf(page string) (targets []string) {
	for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(page, ""), -1) {
		if !strings.Contains(m[1], "://") {
			targets = append(targets, m[1])
		}
	}
	return targets
}

// anchorsOf returns what a link can name of a page: its headings, as GitHub makes anchors of them.
func anchorsOf(page string) (anchors []string) {
	seen := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		n := seen[anchor]
		seen[anchor]++
		if n > 0 {
			anchor += "-" + string(rune('0'+n))
		}
		anchors = append(anchors, anchor)
	}
	return anchors
}

// follow says why a link of a page leads nowhere, or "".
func follow(t *testing.T, page, link string) string {
	t.Helper()
	file, anchor, _ := strings.Cut(link, "#")
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(filepath.Join("..", target)); err != nil {
		return "there is no " + target
	}
	if anchor != "" && !slices.Contains(anchorsOf(read(t, target)), anchor) {
		return "no heading of " + target + " is " + anchor
	}
	return ""
}
