//! Texts of the templates of the page, by the names that they use.

texts! {
    SKIP: "
        Skip to the content
        Zum Inhalt springen
        Aller au contenu
        Saltar al contenido
        Hoppa till innehållet";
    LOCKED_TITLE: "
        This page is locked
        Diese Seite ist gesperrt
        Cette page est verrouillée
        Esta página está bloqueada
        Sidan är låst";
    LOCKED_TYPE: "
        On this device, in a terminal, type
        Geben Sie auf diesem Gerät in einem Terminal ein:
        Sur cet appareil, dans un terminal, tapez
        En este dispositivo, en un terminal, escriba
        Skriv i en terminal på enheten";
    LOCKED_THEN: "
        and open the link that it prints. It works once, for ten minutes; then this browser may look for twelve hours.
        und öffnen Sie den Link, der ausgegeben wird. Er gilt einmal, zehn Minuten lang; dann darf dieser Browser zwölf Stunden lang zusehen.
        et ouvrez le lien affiché. Il sert une fois, pendant dix minutes ; ensuite ce navigateur peut regarder pendant douze heures.
        y abra el enlace que aparece. Funciona una vez, durante diez minutos; después este navegador puede mirar durante doce horas.
        och öppna länken som skrivs ut. Den fungerar en gång, i tio minuter; sedan får webbläsaren titta i tolv timmar.";
    ALSO: "
        Also
        Außerdem
        Également
        Además
        Dessutom";
    TRY_NOW: "
        Try now
        Jetzt versuchen
        Essayer maintenant
        Intentar ahora
        Försök nu";
    NUMBERS: "
        Numbers
        Zahlen
        Chiffres
        Cifras
        Siffror";
    CHARTS: "
        Charts
        Diagramme
        Graphiques
        Gráficos
        Diagram";
    NOW: "
        now
        jetzt
        maintenant
        ahora
        nu";
    SCROLLS: "
        This table is wider than the screen: it moves sideways.
        Diese Tabelle ist breiter als der Bildschirm: Sie lässt sich seitlich schieben.
        Ce tableau est plus large que l’écran : il défile sur le côté.
        Esta tabla es más ancha que la pantalla: se desplaza hacia los lados.
        Tabellen är bredare än skärmen: den går att dra i sidled.";
    FIND_TITLE: "
        Did a visit arrive?
        Ist ein Besuch angekommen?
        Une visite est-elle arrivée ?
        ¿Llegó una visita?
        Kom ett besök fram?";
    FIND_LABEL: "
        Customer's identity
        Wessen Profil
        Le profil de qui
        De quién es el perfil
        Vems profil";
    FIND_BUTTON: "
        Look up
        Nachschlagen
        Chercher
        Buscar
        Slå upp";
    FIND_HINT: "
        A customer's data is shown here only when somebody asks for it by identity.
        Daten eines Kunden erscheinen hier nur, wenn jemand mit dessen Kennung danach fragt.
        Les données d’un client ne s’affichent ici que si quelqu’un les demande par identité.
        Los datos de un cliente solo se muestran aquí si alguien los pide por su identidad.
        En kunds uppgifter visas här bara när någon frågar efter dem med identitet.";
    ATTRIBUTES: "
        Attributes
        Attribute
        Attributs
        Atributos
        Attribut";
    ATTRIBUTE: "
        Attribute
        Attribut
        Attribut
        Atributo
        Attribut";
    VALUE: "
        Value
        Wert
        Valeur
        Valor
        Värde";
    STATE: "
        State
        Zustand
        État
        Estado
        Tillstånd";
    SET_BY: "
        Set by
        Gesetzt durch
        Défini par
        Fijado por
        Satt av";
    WAY: "
        Sent by
        Weg
        Voie
        Vía
        Väg";
    LAST_EVENTS: "
        Last events
        Letzte Ereignisse
        Derniers événements
        Últimos eventos
        Senaste händelser";
    NO_EVENTS: "
        None of them is in the journal any more.
        Keines steht mehr im Journal.
        Il n’y en a plus dans le journal.
        Ya no queda ninguno en el diario.
        Ingen finns kvar i journalen.";
    WITHOUT_EFFECT: "
        Last events without effect
        Letzte Ereignisse ohne Wirkung
        Derniers événements sans effet
        Últimos eventos sin efecto
        Senaste händelser utan verkan";
    REJECTED_TITLE: "
        Rejected
        Abgelehnt
        Rejetés
        Rechazados
        Avvisat";
    REJECTED_HINT: "
        None of these is lost. Fix what the reason says, then retry.
        Nichts davon ist verloren. Beheben Sie, was der Grund nennt, und versuchen Sie es erneut.
        Rien de tout cela n’est perdu. Corrigez ce que dit la raison, puis réessayez.
        Nada de esto se ha perdido. Corrija lo que dice el motivo y reintente.
        Inget av detta är förlorat. Åtgärda det som skälet säger och försök igen.";
    NOTHING_REJECTED: "
        Nothing is rejected.
        Nichts ist abgelehnt.
        Rien n’est rejeté.
        No hay nada rechazado.
        Inget är avvisat.";
    RETRY: "
        Retry
        Erneut versuchen
        Réessayer
        Reintentar
        Försök igen";
    RETRY_ALL: "
        Retry all
        Alle erneut versuchen
        Tout réessayer
        Reintentar todo
        Försök igen med alla";
    WHEN: "
        When
        Wann
        Quand
        Cuándo
        När";
    WHAT: "
        What
        Was
        Quoi
        Qué
        Vad";
    WHY: "
        Why
        Warum
        Pourquoi
        Por qué
        Varför";
    REQUESTS_TITLE: "
        Last requests to Target
        Letzte Anfragen an Target
        Dernières requêtes à Target
        Últimas solicitudes a Target
        Senaste förfrågningar till Target";
    NO_REQUESTS: "
        None since the agent started.
        Keine seit dem Start des Agenten.
        Aucune depuis le démarrage de l’agent.
        Ninguna desde que arrancó el agente.
        Inga sedan agenten startade.";
    OUTCOME: "
        Outcome
        Ergebnis
        Résultat
        Resultado
        Utfall";
    TOOK: "
        Took
        Dauer
        Durée
        Duración
        Tid";
    HELP_TITLE: "
        Help
        Hilfe
        Aide
        Ayuda
        Hjälp";
    BUNDLE_BUTTON: "
        Download a file for support
        Datei für den Support herunterladen
        Télécharger un fichier pour l’assistance
        Descargar un archivo para soporte
        Ladda ner en fil till supporten";
    BUNDLE_HINT: "
        It contains the state of this device, its configuration and its log, but no secret and nothing about a customer. It takes a few seconds.
        Sie enthält, wie es diesem Gerät geht, seine Konfiguration und sein Protokoll: kein Geheimnis und nichts von einem Kunden. Es dauert einige Sekunden.
        Il contient l’état de cet appareil, sa configuration et son journal : aucun secret, et rien d’un client. Cela prend quelques secondes.
        Contiene cómo está este dispositivo, su configuración y su registro: ningún secreto y nada de un cliente. Tarda unos segundos.
        Den innehåller hur det går för enheten, dess konfiguration och dess logg: ingen hemlighet och inget om någon kund. Det tar några sekunder.";
    AGENT_GONE: "
        The agent does not answer; this is the last known state.
        Der Agent antwortet nicht; dies ist der letzte Stand.
        L’agent ne répond pas ; voici le dernier état connu.
        El agente no responde; esto es lo último que se supo.
        Agenten svarar inte; så här var läget senast.";
}
