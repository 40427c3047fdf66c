"""What the clients of this container are told who ask whether it is ready."""

import http.client
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

READY = 200


def readiness(environment: Mapping[str, str], seconds: float, *, log: bool = True) -> int:
    """Status of the answer, 0 for none; HTTP_PORT names the port when it is not 8000."""
    scheme = "https" if environment.get("TLS_CERTIFICATE_FILE") else "http"
    url = f"{scheme}://127.0.0.1:{environment.get('HTTP_PORT', '8000')}/v2/health/ready"
    # A certificate is for the names that clients use.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # No proxy of the environment may come between the container and itself.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=seconds) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        if log:
            print(f"error: {url}: {str(error).strip()}", file=sys.stderr)
        return error.code
    except (OSError, http.client.HTTPException) as error:
        if log:
            print(f"error: {url}: {str(error).strip()}", file=sys.stderr)
        return 0
