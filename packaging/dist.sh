#!/bin/bash
# The sums of what is in dist/, and what it is made of (SPDX 2.3). usage: dist.sh (make dist)
set -euo pipefail
cd "$(dirname "$0")/.."
rm -f dist/SHA256SUMS dist/*.spdx.json
python3 - "$(sed -n 's/^VERSION := //p' Makefile)" "$(git log -1 --format=%ct 2>/dev/null || echo 315532800)" <(go list -m -json all) <<'X'
import hashlib, json, os, sys, time
version, stamp, modules = sys.argv[1:]
text, decoder, at, listed = open(modules).read(), json.JSONDecoder(), 0, []
while text[at:].strip():
    module, end = decoder.raw_decode(text[at:].lstrip())
    at += len(text[at:]) - len(text[at:].lstrip()) + end
    listed.append(module)
sums = {n: hashlib.sha256(open("dist/" + n, "rb").read()).hexdigest() for n in sorted(os.listdir("dist")) if os.path.isfile("dist/" + n)}
ref = lambda s: "SPDXRef-" + "".join(c if c.isalnum() or c in ".-" else "-" for c in s)
packages = [{"name": n, "SPDXID": ref(n), "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
             "checksums": [{"algorithm": "SHA256", "checksumValue": s}]} for n, s in sums.items()]
packages += [{"name": m["Path"], "SPDXID": ref(m["Path"]), "versionInfo": m["Version"], "downloadLocation": "https://" + m["Path"], "filesAnalyzed": False,
              "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                "referenceLocator": "pkg:golang/%s@%s" % (m["Path"], m["Version"])}]} for m in listed if not m.get("Main")]
whole = hashlib.sha256("".join(sums.values()).encode()).hexdigest()
json.dump({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "uwsgi-" + version,
           "documentNamespace": "urn:uwsgi:%s:%s" % (version, whole),
           "creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(stamp))), "creators": ["Tool: packaging/dist.sh"]},
           "packages": packages,
           "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": ref(n)} for n in sums] +
                            [{"spdxElementId": ref(n), "relationshipType": "CONTAINS", "relatedSpdxElement": ref(m["Path"])} for n in sums for m in listed if not m.get("Main")]},
          open("dist/uwsgi-%s.spdx.json" % version, "w"), indent=1)
X
"$(packaging/deps.sh tools)/bin/pyspdxtools" -i dist/*.spdx.json
cd dist
sha256sum -- * >SHA256SUMS
cat SHA256SUMS
