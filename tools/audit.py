"""Compare what is installed with known holes: `python tools/audit.py FOLDER`, where FOLDER is a `site-packages`; needs pip-audit.

Where no service that knows of holes can be reached, that is said, and is no error; on GitHub it is one.
"""

import json, os, subprocess, sys


def main():
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'pip_audit',
            '-f',
            'json',
            '--progress-spinner',
            'off',
            '--path',
            sys.argv[1],
        ],
        capture_output=True,
        text=True,
    )
    found = (
        json.loads(done.stdout)['dependencies'] if done.stdout.startswith('{') else []
    )
    known = [d for d in found if 'skip_reason' not in d]
    holes = [
        f'{d["name"]} {d["version"]}: {v["id"]}, mended in {", ".join(v["fix_versions"]) or "no version yet"}'
        for d in known
        for v in d['vulns']
    ]
    if holes:
        sys.exit('\n'.join(['known holes:', *holes]))
    if known:
        return print(
            f'{len(known)} packages without known holes; not looked up: {", ".join(d["name"] for d in found if d not in known) or "none"}'
        )
    said = 'SKIPPED: nothing can be looked up here' + (
        f': {done.stderr.strip().splitlines()[-1][:200]}' if done.stderr.strip() else ''
    )
    if os.environ.get('GITHUB_ACTIONS'):
        sys.exit(said)
    print(said)


if __name__ == '__main__':
    main()
