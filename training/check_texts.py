"""Checks the marked texts below data and prints counts. `python check_texts.py [--json OUT]` writes [{id, language, domain, text, spans}]."""
import collections, json, pathlib, re, sys

CATEGORIES = {"personal_name", "address", "phone", "email"}
MARK = re.compile("⟦([a-z_]+)\\|([^⟦⟧]+)⟧", re.S)


def parse(marked):
    """Marked text to (text, spans); offsets are code points, end exclusive."""
    text, spans, at = "", [], 0
    for m in MARK.finditer(marked):
        text += marked[at:m.start()]
        if m[1] not in CATEGORIES:
            raise ValueError(f"unknown category {m[1]}")
        if m[2] != m[2].strip():
            raise ValueError(f"span with outer white space {m[2]!r}")
        spans.append({"start": len(text), "end": len(text) + len(m[2]), "category": m[1]})
        text += m[2]
        at = m.end()
    text += marked[at:]
    if "⟦" in text or "⟧" in text:
        raise ValueError("a mark is left over")
    return text, spans


def main():
    out, bad, seen = [], 0, set()
    count = collections.Counter()
    for file in sorted((pathlib.Path(__file__).parent / "data").glob("*/*.jsonl")):
        for n, line in enumerate(file.read_text(encoding="utf8").splitlines(), 1):
            try:
                row = json.loads(line)
                text, spans = parse(row["marked"])
                if row["id"] in seen or text in seen:
                    raise ValueError("seen before")
                seen |= {row["id"], text}
            except (ValueError, KeyError) as e:
                bad += 1
                print(f"{file.name}:{n}: {e}")
                continue
            out.append({"id": row["id"], "language": row["language"], "domain": row["domain"], "text": text, "spans": spans})
            count[row["language"], "docs"] += 1
            count[row["language"], "empty"] += not spans
            count.update((row["language"], s["category"]) for s in spans)
    for key in sorted(count):
        print(*key, count[key])
    if "--json" in sys.argv:
        pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(out, ensure_ascii=False), encoding="utf8")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
