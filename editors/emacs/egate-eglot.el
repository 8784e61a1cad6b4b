;;; egate-eglot.el --- egate-lsp in Eglot -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Eglot has no inline completion and starts one server for a buffer.  With this file that one is egate-lsp, and its
;; suggestions are candidates of `completion-at-point': for languages without a server of their own.  To have both, use
;; lsp-mode (egate.el) or copilot.el (egate-copilot.el) beside Eglot.

;;; Code:

(require 'eglot)

(defvar egate-eglot-modes '(text-mode conf-mode sh-mode)
  "The major modes that get egate-lsp from Eglot.")

(add-to-list 'eglot-server-programs (cons egate-eglot-modes '("egate-lsp" "serve")))

(provide 'egate-eglot)
;;; egate-eglot.el ends here
