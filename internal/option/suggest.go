package option

// longestName bounds the work on what cannot be a name.
const longestName = 64

// nearest returns the candidate that a slip of the fingers would most likely turn into word: the
// fewest edits, and few enough for the length of the word.
func nearest(word string, candidates []string) (string, bool) {
	limit := 2
	if len(word) < 6 {
		limit = 1
	}
	if len(word) > longestName+limit {
		return "", false
	}
	best, bestAt := "", limit+1
	for _, c := range candidates {
		if abs(len(c)-len(word)) > limit {
			continue
		}
		if d := distance(word, c, bestAt); d < bestAt {
			best, bestAt = c, d
		}
	}
	return best, best != ""
}

// distance is the number of insertions, deletions, changes and swaps of neighbours between a and b;
// it gives up at most.
func distance(a, b string, most int) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		lowest := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
			lowest = min(lowest, cur[j])
		}
		if lowest >= most {
			return most
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
