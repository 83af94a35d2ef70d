# Prints one value of a JSON document per "want": -v want=hostname prints the member, -v want=public_keys/ prints every
# member of that object, one per line, unescaped. Names are joined by "/"; array elements are numbered from 0.
# The document is read as tokens, so escapes, spaces, order and nesting do not matter.
function at(character) { return substr(text, 1, 1) == character }
function skip() { sub(/^[ \t\r\n]+/, "", text) }
function hex(digits,  i, n) {
  n = 0
  for (i = 1; i <= 4; i++) n = n * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
  return n
}
function utf8(code) {
  if (code < 128) return sprintf("%c", code)
  if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
  return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
}
function string(  raw, out, escape, c) {
  if (!match(text, /^"([^"\\]|\\.)*"/)) fail()
  raw = substr(text, 2, RLENGTH - 2)
  text = substr(text, RLENGTH + 1)
  out = ""
  while ((escape = index(raw, "\\")) > 0) {
    c = substr(raw, escape + 1, 1)
    out = out substr(raw, 1, escape - 1)
    raw = substr(raw, escape + 2)
    if (c == "n") out = out "\n"
    else if (c == "t") out = out "\t"
    else if (c == "r" || c == "b" || c == "f") out = out ""
    else if (c == "u") { out = out utf8(hex(raw)); raw = substr(raw, 5) }
    else out = out c
  }
  return out raw
}
function found(path, text_of) {
  if (path == want || (want ~ /\/$/ && index(path, want) == 1)) print text_of
}
function members(path,  name) {
  text = substr(text, 2); skip()
  while (!at("}")) {
    name = string(); skip()
    if (!at(":")) fail()
    text = substr(text, 2)
    value(path == "" ? name : path "/" name); skip()
    if (at(",")) { text = substr(text, 2); skip() } else if (!at("}")) fail()
  }
  text = substr(text, 2)
}
function elements(path,  n) {
  text = substr(text, 2); skip()
  for (n = 0; !at("]"); n++) {
    value(path "/" n); skip()
    if (at(",")) { text = substr(text, 2); skip() } else if (!at("]")) fail()
  }
  text = substr(text, 2)
}
function value(path) {
  skip()
  if (at("{")) members(path)
  else if (at("[")) elements(path)
  else if (at("\"")) found(path, string())
  else if (match(text, /^[-+.a-zA-Z0-9]+/)) {
    found(path, substr(text, 1, RLENGTH))
    text = substr(text, RLENGTH + 1)
  } else fail()
}
function fail() { exit 1 }
{ text = text $0 "\n" }
END { value("") }
