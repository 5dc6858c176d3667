package option

import "regexp"

// password is the one in a URL, and the auth_pass of an alarm (ParseCurl).
var password = regexp.MustCompile(`(://[^/:@\s]*:)[^/\s]*(@)|(\bauth_pass=)[^;"]+`)

// Public is text of a configuration as logs, statistics and reports may show it: without passwords.
func Public(text string) string { return password.ReplaceAllString(text, "${1}${3}xxxxx${2}") }
