"""Certificates for a local hive, made by the openssl command: an authority, and what it signs."""

import os
import ssl
import subprocess


class Authority:
    """An authority of its own in `folder`. Two of one name are two authorities."""

    def __init__(self, folder, name="hive-ca"):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.certificate = os.path.join(folder, "ca.crt")
        self._key = os.path.join(folder, "ca.key")
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.certificate, "-days", "2", "-subj", f"/CN={name}",
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def issue(self, name, folder=None):
        """A certificate for both ends of a connection; returns its files and the authority's as Files."""
        folder = folder or self.folder
        os.makedirs(folder, exist_ok=True)
        files = Files(os.path.join(folder, f"{name}.crt"), os.path.join(folder, f"{name}.key"), self.certificate)
        request = os.path.join(folder, f"{name}.csr")
        extensions = os.path.join(folder, f"{name}.ext")
        with open(extensions, "w") as out:  # the key's name, so that of two authorities of one name the right one is found
            out.write("authorityKeyIdentifier=keyid\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("req", *_NEW_KEY, "-keyout", files.key, "-out", request, "-subj", f"/CN={name}")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", "1",
                 "-extfile", extensions, "-out", files.certificate)
        os.remove(request)
        os.remove(extensions)
        return files


class Files:
    """What one process is given."""

    def __init__(self, certificate, key, authority):
        self.certificate = certificate
        self.key = key
        self.authority = authority

    def context(self):
        """A client that shows the certificate, and believes whoever has one of the authority."""
        made = ssl.create_default_context(cafile=self.authority)
        made.check_hostname = False
        made.load_cert_chain(self.certificate, self.key)
        return made

    def flags(self, prefix="tls"):
        return [f"--{prefix}-cert={self.certificate}", f"--{prefix}-key={self.key}", f"--{prefix}-ca={self.authority}"]


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*words):
    run = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=60, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"openssl {words[0]} failed:\n{run.stderr}")
