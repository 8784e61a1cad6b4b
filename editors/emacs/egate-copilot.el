;;; egate-copilot.el --- egate-lsp as the server of copilot.el -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; copilot.el (0.9) shows ghost text beside any other completion, Eglot's included.  It talks to whatever speaks the
;; dialect of GitHub's server; egate-lsp does.  No account is asked for.  Load this before copilot.el.

;;; Code:

(setq copilot-server-executable "egate-lsp"
      copilot-server-args '("serve" "--stdio"))

(provide 'egate-copilot)
;;; egate-copilot.el ends here
