"""Models in buckets."""

import os

from utils.errors import first_line
from utils.storages.contract import StorageError
from utils.storages.files import FileSystemStorage

# Read when gcsfs is imported. Otherwise it asks for each bucket's layout first, with a client and a
# permission that nothing else here needs.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


class S3Storage(FileSystemStorage):
    """Amazon S3 and what speaks its language, at AWS_ENDPOINT_URL."""

    scheme = "s3"
    mark = "ETag"
    login = "aws configure, AWS_PROFILE, or FSSPEC_S3_ANON=true for a public bucket"


class GoogleStorage(FileSystemStorage):
    """Google Cloud Storage."""

    scheme = "gs"
    mark = "generation"
    login = "gcloud auth application-default login"

    def refusal(self, error: BaseException) -> StorageError:
        """See `Refusing`; gcsfs tells a 403 from other answers by its text only."""
        if isinstance(error, OSError) and str(error).startswith("Forbidden"):
            return self.refused(f"no access: {first_line(error)}", self.login)
        return super().refusal(error)


class AzureStorage(FileSystemStorage):
    """Azure Blob Storage; the account is AZURE_STORAGE_ACCOUNT_NAME."""

    scheme = "az"
    mark = "etag"
    login = "az login and AZURE_STORAGE_ACCOUNT_NAME, or AZURE_STORAGE_CONNECTION_STRING"
