"""An OpenID provider on a free port, for tests: says where it is, and ends when its standard input does.

Whoever types `ann` is an operator; whoever types anything else has no role.
"""

import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # on this machine only

import oidc_provider_mock  # noqa: E402
from oidc_provider_mock import User  # noqa: E402

ANN = User(
    sub="ann",
    claims={"preferred_username": "ann", "email": "ann@shop.example", "groups": ["operators", "staff"]},
)

with oidc_provider_mock.run_server_in_thread(require_nonce=True, user_claims=[ANN]) as server:
    print(f"http://localhost:{server.server_port}", flush=True)
    sys.stdin.read()
