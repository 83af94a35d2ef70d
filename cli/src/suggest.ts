// "Did you mean": the known words that are closest to the one that was typed.

/** Edits (insert, remove, replace, swap of neighbours) that turn one word into the other. */
export function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    let last = i;
    const row = [last];
    for (let j = 1; j <= b.length; j++) {
      const replace = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      last = Math.min(at(i - 1, j) + 1, last + 1, replace, swapped ? at(i - 2, j - 2) + 1 : Infinity);
      row.push(last);
    }
    rows.push(row);
  }
  return at(a.length, b.length);
}

/** The candidates close to the word, closest first, three at most. */
export function closest(word: string, candidates: Iterable<string>): string[] {
  const allowed = word.length < 2 ? 0 : Math.max(1, Math.floor(word.length / 3));
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, far: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, far }) => far <= allowed || (word.length > 2 && candidate.startsWith(word)))
    .sort((a, b) => a.far - b.far || a.candidate.localeCompare(b.candidate))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** `: did you mean "x" or "y"?`, or nothing when no candidate is close. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = closest(word, candidates);
  return found.length === 0 ? '' : `: did you mean ${found.map((each) => `"${each}"`).join(' or ')}?`;
}
