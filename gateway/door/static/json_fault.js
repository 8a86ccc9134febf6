// Where a text is not JSON (RFC 8259). A browser's own message says that in words that differ, or not at all.

const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = new RegExp(`${STRING.source}|-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?|true|false|null`, "y");
const SPACE = /[ \t\n\r]*/y;

// The index of the first part of `text` that cannot stand there (its length: the text ends too early), or -1: it is JSON.
export function findFault(text) {
  let at = 0;
  const take = (pattern) => {
    pattern.lastIndex = at;
    const taken = pattern.test(text);
    if (taken) at = pattern.lastIndex;
    return taken;
  };
  const next = (pattern) => take(SPACE) && take(pattern); // SPACE may be empty, so it is always taken
  const value = () => (next(/\[/y) ? list(value, /\]/y) : take(/\{/y) ? list(member, /\}/y) : take(SCALAR));
  const member = () => next(STRING) && next(/:/y) && value();
  const list = (item, end) => {
    if (next(end)) return true;
    do if (!item()) return false; while (next(/,/y));
    return next(end);
  };
  return value() && take(SPACE) && at === text.length ? -1 : at;
}
